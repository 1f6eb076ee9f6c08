import GlmcIR

extension EntryText {
    /// The tables of inputs, outputs and dimensions, and the description of the program that `glmc_program.h` runs.
    func tables() -> String {
        let function = program.function
        var out = tensorInfos(function.inputs, function.inputNames, isInput: true) + tensorInfos(function.outputs, function.outputNames, isInput: false)
        if !dimensions.isEmpty {
            let limit = DimensionLimit(program).size
            out += "static const glmc_dim_info \(symbol("dims"))[] = {\n"
            for dimension in dimensions {
                switch dimension.info.source {
                case .input, .value: out += "    {.name = \(ForeignText.literal(dimension.name)), .min = 0, .max = \(limit), .flags = 0},\n"
                case .dataDependent: out += "    {.name = \(ForeignText.literal(dimension.name)), .min = 0, .max = INT64_MAX, .flags = GLMC_DATA_DEPENDENT},\n"
                }
            }
            out += "};\n"
        }
        let bindings = function.inputs.flatMap { function.tensorType($0).shape }.map { extent -> String in
            if extent.isConstant { return "GLMC_SIZE_FIXED" }
            if extent.terms.count == 1, extent.offset == 0, extent.terms[0].coefficient == 1, case .dimension(let dimension)? = extent.terms[0].factors.first,
               extent.terms[0].factors.count == 1 { return String(dimensionIndex[dimension] ?? 0) }
            return "GLMC_SIZE_COMPUTED"
        }
        let agreement = agreement
        out += agreement.text
        let defaults = defaults
        out += defaults.text
        let features = ForeignText.literal(program.target.features.joined(separator: " "))
        out += """
        static const glmc_program \(symbol("program")) = {
            .entry = {.size = sizeof(glmc_entry), .input_count = \(function.inputs.count), .output_count = \(function.outputs.count), .dim_count = \(dimensions.count),
                      .kernel_count = \(program.launches.count), .name = \(ForeignText.literal(program.function.name)), .inputs = \(function.inputs.isEmpty ? "0" : symbol("inputs")), .outputs = \(symbol("outputs")), .dims = \(dimensions.isEmpty ? "0" : symbol("dims")),
                      .output_shapes = \(defaults.names)_shapes, .workspace_size = \(defaults.names)_workspace, .run = \(defaults.names)_run},
            .input_dims = (const int32_t[]){\((bindings.isEmpty ? ["0"] : bindings).joined(separator: ", "))},
            .dim_values = \(valueTable), .shapes = \(dimensions.isEmpty ? "0" : symbol("shapes")), .bounds = \(hasDataDependentDimensions ? symbol("bounds") : "0"), .most = \(hasDataDependentDimensions ? symbol("most") : "0"), .agree = \(agreement.name), .workspace = \(symbol("workspace")), .least_work = \(minParallelWork), .split_work = \(symbol("split_work")), .body = \(symbol("body")),
            .weights = \(weights.symbol(name)), .cpu_features = \(features), .cpu_checked = &glmc_this_checked,
        };

        """
        return out
    }

    /// The input that holds each dimension's value, -1 for none, and which of its elements that is; 0 where no dimension is a value.
    private var valueTable: String {
        let places = dimensions.map { if case .value(let input, let element) = $0.info.source { (input, element) } else { (-1, 0) } }
        return places.allSatisfy { $0.0 < 0 } ? "0" : "(const int32_t[][2]){\(places.map { "{\($0.0), \($0.1)}" }.joined(separator: ", "))}"
    }

    /// The functions of the entry point where inputs have defaults, and how the names of its functions begin.
    private var defaults: (text: String, names: String) {
        if weights.defaultOffsets[number].isEmpty { return ("", "glmc_program") }
        let offsets = program.function.inputs.indices.map { String(weights.defaultOffsets[number][$0] ?? -1) }.joined(separator: ", ")
        return ("""
            static const int64_t \(symbol("defaults"))[] = {\(offsets)};
            static int \(symbol("call_shapes"))(const glmc_entry *self, const glmc_call *call) { return glmc_shapes_with_defaults(self, call, \(symbol("defaults"))); }
            static int \(symbol("call_workspace"))(const glmc_entry *self, const glmc_call *call, uint64_t *bytes) { return glmc_workspace_with_defaults(self, call, bytes, \(symbol("defaults"))); }
            static int \(symbol("call_run"))(const glmc_entry *self, const glmc_call *call) { return glmc_run_with_defaults(self, call, \(symbol("defaults"))); }

            """, symbol("call"))
    }

    private func tensorInfos(_ values: [ValueID], _ names: [String], isInput: Bool) -> String {
        if values.isEmpty { return "" }
        let function = program.function
        var out = "static const glmc_tensor_info \(symbol(isInput ? "inputs" : "outputs"))[] = {\n"
        let runtime = Set(dimensions.compactMap { if case .dataDependent = $0.info.source { $0.name } else { nil } })
        let held = Set(dimensions.compactMap { if case .value(let input, _) = $0.info.source { input } else { nil } })
        for (number, (value, name)) in zip(values, names).enumerated() {
            let type = function.tensorType(value)
            let shape = type.shape.map { $0.constant.map(String.init) ?? "-1" }.joined(separator: ", ")
            let dims = type.shape.map { ForeignText.literal($0.description) }.joined(separator: ", ")
            let depends = type.shape.contains { !$0.dimensions.isDisjoint(with: runtime) }
            out += "    {.name = \(ForeignText.literal(name)), .dtype = \(Self.dtype(type.element)), .rank = \(type.rank)"
            out += type.rank == 0 ? ", .shape = 0, .dims = 0" : ", .shape = (const int64_t[]){\(shape)}, .dims = (const char *const[]){\(dims)}"
            let flags = depends ? "GLMC_DATA_DEPENDENT" : !isInput ? "" : function.defaults[value] != nil ? "GLMC_OPTIONAL" : held.contains(number) ? "GLMC_DIMENSION" : ""
            let state = isInput ? function.states.first { $0.input == value }?.output : function.states.first { $0.output == number }.flatMap { function.inputs.firstIndex(of: $0.input) }
            let squeezed = isInput ? 0 : (function.squeezedAxes[number] ?? []).reduce(0) { $0 | 1 << $1 }
            out += "\(flags.isEmpty ? "" : ", .flags = \(flags)"), .state = \(state ?? -1)\(squeezed == 0 ? "" : ", .squeezed = \(squeezed)")},\n"
        }
        return out + "};\n"
    }

    /// The interface's constant for an element type.
    static func dtype(_ element: ElementType) -> String { "GLMC_" + element.rawValue.uppercased() }
}
