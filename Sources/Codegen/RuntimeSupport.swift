/// The C support text that every artifact carries, as files that include one another by name.
///
/// `docs/artifact.md` says what emitted code may use of it and what it has to provide.
public struct RuntimeSupport: Sendable {
    /// File name, such as `glmc_frame.h`.
    public let name: String
    /// Contents, UTF-8.
    public let text: [UInt8]

    /// The public interface, for users of an artifact too.
    public static let publicHeader = RuntimeSupport(name: "glmc.h", text: PackageResources.glmc_h)

    /// What kernel files need besides `glmc_frame.h`.
    public static let kernelFiles: [RuntimeSupport] = [
        RuntimeSupport(name: "glmc_scalar.h", text: PackageResources.glmc_scalar_h),
        RuntimeSupport(name: "glmc_vector_math.h", text: PackageResources.glmc_vector_math_h),
        RuntimeSupport(name: "glmc_vector.h", text: PackageResources.glmc_vector_h),
    ]

    /// What CUDA sources include.
    public static let cudaFiles: [RuntimeSupport] = [
        RuntimeSupport(name: "glmc_cuda.h", text: PackageResources.glmc_cuda_h),
        RuntimeSupport(name: "glmc_scalar.h", text: PackageResources.glmc_scalar_h),
    ]

    /// All files that every artifact needs; each includes only files that stand before it.
    public static let files: [RuntimeSupport] = [
        publicHeader,
        RuntimeSupport(name: "glmc_sync.h", text: PackageResources.glmc_sync_h),
        RuntimeSupport(name: "glmc_team.h", text: PackageResources.glmc_team_h),
        RuntimeSupport(name: "glmc_frame.h", text: PackageResources.glmc_frame_h),
        RuntimeSupport(name: "glmc_launches.h", text: PackageResources.glmc_launches_h),
        RuntimeSupport(name: "glmc_cpu.h", text: PackageResources.glmc_cpu_h),
        RuntimeSupport(name: "glmc_pool.h", text: PackageResources.glmc_pool_h),
        RuntimeSupport(name: "glmc_program.h", text: PackageResources.glmc_program_h),
        RuntimeSupport(name: "glmc_defaults.h", text: PackageResources.glmc_defaults_h),
        RuntimeSupport(name: "glmc_session.h", text: PackageResources.glmc_session_h),
        RuntimeSupport(name: "glmc_console.h", text: PackageResources.glmc_console_h),
        RuntimeSupport(name: "glmc_main.h", text: PackageResources.glmc_main_h),
    ] + language

    /// What artifacts of language models need too.
    private static let language: [RuntimeSupport] = [
        RuntimeSupport(name: "glmc_checksum.h", text: PackageResources.glmc_checksum_h),
        RuntimeSupport(name: "glmc_tokenizer_table.h", text: PackageResources.glmc_tokenizer_table_h),
        RuntimeSupport(name: "glmc_pattern.h", text: PackageResources.glmc_pattern_h),
        RuntimeSupport(name: "glmc_tokenizer_steps.h", text: PackageResources.glmc_tokenizer_steps_h),
        RuntimeSupport(name: "glmc_tokenizer_models.h", text: PackageResources.glmc_tokenizer_models_h),
        RuntimeSupport(name: "glmc_tokenizer.h", text: PackageResources.glmc_tokenizer_h),
        RuntimeSupport(name: "glmc_chat.h", text: PackageResources.glmc_chat_h),
        RuntimeSupport(name: "glmc_sampling.h", text: PackageResources.glmc_sampling_h),
        RuntimeSupport(name: "glmc_draft.h", text: PackageResources.glmc_draft_h),
        RuntimeSupport(name: "glmc_engine.h", text: PackageResources.glmc_engine_h),
        RuntimeSupport(name: "glmc_generator.h", text: PackageResources.glmc_generator_h),
        RuntimeSupport(name: "glmc_generate.h", text: PackageResources.glmc_generate_h),
        RuntimeSupport(name: "glmc_language_main.h", text: PackageResources.glmc_language_main_h),
    ]
}
