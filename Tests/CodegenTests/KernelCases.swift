import Testing

/// A function for one kernel family. Inputs whose name starts with `k` become constants.
struct KernelCase: Sendable, CustomTestStringConvertible {
    var name: String
    /// The family that must be chosen on a vector target.
    var family: String
    var text: String
    var dimensions: [String: Int] = [:]
    var tolerance = 2e-6
    var testDescription: String { name }

    /// - Parameter body: the statements, then what is returned.
    init(_ name: String, _ family: String, _ arguments: String, _ body: [String], dimensions: [String: Int] = [:], tolerance: Double = 2e-6) {
        self.name = name
        self.family = family
        text = "func @f(\(arguments)) {\n" + body.dropLast().map { "  \($0)\n" }.joined() + "  return \(body.last ?? "")\n}"
        self.dimensions = dimensions
        self.tolerance = tolerance
    }

    /// A channels-last convolution with a bias and a ReLU behind it.
    private static func convolution(
        _ name: String, _ family: String = "conv-tile", x: String, w: String, strides: [Int] = [1, 1], dilations: [Int] = [1, 1], groups: Int = 1,
        dimensions: [String: Int] = [:]
    ) -> KernelCase {
        let outputs = w.split(separator: ",")[0]
        let ones = Array(repeating: "1", count: strides.count).joined(separator: ", ")
        return KernelCase(name, family, "%x: f32[\(x)], %kw: f32[\(w)], %kb: f32[\(outputs), \(ones)]", [
            "%l = relayout(%x, layout: \"nhwc\")",
            "%c = conv(%l, %kw, strides: \(strides), dilations: \(dilations), groups: \(groups))",
            "%d = binary.add(%c, %kb)", "%e = activation(%d, kind: \"relu\")", "%r = relayout(%e, layout: \"row\")", "%r",
        ], dimensions: dimensions)
    }

    /// A channels-last convolution of one element type by another, with f32 sums.
    private static func narrow(
        _ name: String, _ family: String = "conv-tile", of elements: (String, String) = ("bf16", "bf16"), x: String, w: String, strides: [Int] = [1, 1], groups: Int = 1
    ) -> KernelCase {
        KernelCase(name, family, "%x: \(elements.0)[\(x)], %kw: \(elements.1)[\(w)]", [
            "%l = relayout(%x, layout: \"nhwc\")",
            "%c = conv(%l, %kw, strides: \(strides), dilations: [1, 1], groups: \(groups))", "%r = relayout(%c, layout: \"row\")", "%r",
        ])
    }

    /// A channels-last transposed convolution with an activation behind it.
    private static func transposed(
        _ name: String, _ family: String = "conv-transpose-tile", of element: String = "f32", x: String, w: String, strides: [Int], groups: Int = 1,
        before: [Int] = [0, 0], after: [Int] = [0, 0], padding: [Int] = [0, 0], activation: String = "relu", dimensions: [String: Int] = [:]
    ) -> KernelCase {
        let crop = "crop_before: \(before), crop_after: \(after), output_padding: \(padding)"
        return KernelCase(name, family, "%x: \(element)[\(x)], %kw: \(element)[\(w)]", [
            "%l = relayout(%x, layout: \"nhwc\")",
            "%c = conv_transpose(%l, %kw, strides: \(strides), dilations: [1, 1], groups: \(groups), \(crop))",
            "%d = activation(%c, kind: \"\(activation)\")", "%r = relayout(%d, layout: \"row\")", "%r",
        ], dimensions: dimensions)
    }

    private static func integers(_ name: String, _ family: String = "conv-tile", x: String, w: String, strides: [Int] = [1, 1], groups: Int = 1) -> KernelCase {
        KernelCase(name, family, "%x: u8[\(x)], %kw: i8[\(w)]", [
            "%l = relayout(%x, layout: \"nhwc\")",
            "%c = conv(%l, %kw, strides: \(strides), dilations: [1, 1], groups: \(groups))", "%r = relayout(%c, layout: \"row\")", "%r",
        ], tolerance: 0)
    }

    private static func attention(
        _ name: String, _ q: String, _ k: String, s: String, t: String, d: Int, e: Int, mask: String? = nil,
        options: String = "causal: false, causal_offset: 0, softcap: 0.0", dimensions: [String: Int] = [:]
    ) -> KernelCase {
        KernelCase(name, "attention-rows", "%q: f32[\(q), \(s), \(d)], %x: f32[\(k), \(t), \(d)], %v: f32[\(k), \(t), \(e)]" + (mask.map { ", %m: \($0)" } ?? ""), [
            "%a = attention(%q, %x, %v\(mask == nil ? "" : ", %m"), scale: 0.25, \(options))", "%a",
        ], dimensions: dimensions)
    }

    private static func pool(_ name: String, _ x: String, _ attributes: String) -> KernelCase {
        KernelCase(name, "pool-vectors", "%x: \(x)", [
            "%l = relayout(%x, layout: \"nhwc\")",
            "%c = pool(%l, \(attributes), dilations: [1, 1], ceil: false, include_pad: false, p: 2, indices: false, column_major_indices: false)",
            "%r = relayout(%c, layout: \"row\")", "%r",
        ])
    }

    static let all: [KernelCase] = convolutions + mixedPrecision + products + rows + recurrences

    private static let convolutions: [KernelCase] = [
        convolution("3x3", x: "1, 16, 9, 11", w: "32, 16, 3, 3"),
        convolution("3x3, odd channels", x: "2, 7, 8, 9", w: "37, 7, 3, 3"),
        convolution("1x1", x: "1, 24, 7, 7", w: "48, 24, 1, 1"),
        convolution("stride 2, stem", x: "1, 3, 23, 23", w: "40, 3, 7, 7", strides: [2, 2]),
        convolution("dilated", x: "1, 5, 12, 13", w: "16, 5, 3, 2", dilations: [2, 3]),
        convolution("grouped", x: "1, 12, 6, 7", w: "64, 3, 3, 3", groups: 4),
        convolution("one dimension", x: "2, 6, 31", w: "33, 6, 5", strides: [2], dilations: [1]),
        convolution("three dimensions", x: "1, 4, 5, 6, 7", w: "20, 4, 2, 3, 2", strides: [1, 2, 1], dilations: [1, 1, 1]),
        convolution("large weights, several blocks", x: "1, 130, 30, 9", w: "200, 130, 3, 3"),
        convolution("half a register of columns", x: "1, 8, 9, 17", w: "24, 8, 3, 3"),
        convolution("less than half a register of columns", x: "1, 6, 5, 9", w: "37, 6, 1, 1"),
        KernelCase("anchor read three times", "conv-tile", "%x: f32[1, 8, 7, 9], %kw: f32[20, 8, 1, 1], %kb: f32[20, 1, 1]", [
            "%l = relayout(%x, layout: \"nhwc\")", "%c = conv(%l, %kw, strides: [1, 1], dilations: [1, 1], groups: 1)", "%d = binary.add(%c, %kb)",
            "%e = activation(%d, kind: \"sigmoid\")", "%g = binary.multiply(%d, %e)", "%h = binary.add(%g, %d)", "%i = binary.multiply(%h, %h)",
            "%r = relayout(%i, layout: \"row\")", "%r",
        ]),
        convolution("Winograd, tiles beyond the image", "conv-winograd", x: "1, 32, 23, 31", w: "40, 32, 3, 3"),
        convolution("Winograd, many blocks, part of a vector", "conv-winograd", x: "4, 16, 42, 39", w: "37, 16, 3, 3"),
        convolution("Winograd, free batch", "conv-winograd", x: "n, 16, 30, 34", w: "16, 16, 3, 3", dimensions: ["n": 2]),
        convolution("free height and width", x: "1, 6, h, w", w: "40, 6, 3, 3", dimensions: ["h": 9, "w": 38]),
        convolution("depthwise 3x3", "conv-depthwise", x: "1, 37, 9, 13", w: "37, 1, 3, 3", groups: 37),
        convolution("depthwise 5x5 stride 2", "conv-depthwise", x: "2, 16, 13, 15", w: "16, 1, 5, 5", strides: [2, 2], groups: 16),
        convolution("depthwise dilated, free width", "conv-depthwise", x: "1, 20, 7, w", w: "20, 1, 3, 3", dilations: [1, 2], groups: 20, dimensions: ["w": 27]),
        integers("u8 3x3", x: "1, 16, 9, 11", w: "32, 16, 3, 3"),
        integers("u8 odd channels", x: "1, 5, 8, 9", w: "37, 5, 3, 3"),
        integers("u8 stem", x: "1, 3, 15, 15", w: "16, 3, 5, 5", strides: [2, 2]),
        integers("u8 half a register of columns", x: "1, 12, 9, 17", w: "24, 12, 3, 3"),
        integers("u8 less than half a register of columns", x: "1, 6, 5, 9", w: "37, 6, 1, 1"),
        integers("u8 one channel per group", x: "1, 4, 8, 9", w: "40, 1, 3, 5", groups: 4),
        integers("u8 depthwise", "conv-depthwise", x: "1, 37, 9, 13", w: "37, 1, 3, 3", groups: 37),
        transposed("transposed 2x2 stride 2", x: "1, 9, 5, 7", w: "9, 24, 2, 2", strides: [2, 2]),
        transposed("transposed to one channel", "conv-transpose-blocks", x: "2, 9, 5, 11", w: "9, 1, 2, 2", strides: [2, 2], activation: "sigmoid"),
        transposed("transposed to two channels, free", "conv-transpose-blocks", x: "1, 5, h, w", w: "5, 2, 2, 1", strides: [2, 1], dimensions: ["h": 4, "w": 21]),
        transposed("transposed 4x3, cropped", x: "1, 8, 5, 6", w: "8, 16, 4, 3", strides: [2, 1], groups: 2, before: [1, 0], after: [1, 1], padding: [1, 0]),
    ]

    private static let mixedPrecision: [KernelCase] = [
        narrow("bf16 3x3", x: "1, 16, 9, 11", w: "32, 16, 3, 3"),
        narrow("bf16 odd channels", x: "1, 5, 8, 9", w: "37, 5, 3, 3"),
        narrow("bf16 stem", x: "1, 3, 15, 15", w: "40, 3, 5, 5", strides: [2, 2]),
        narrow("bf16 half a register of columns", x: "1, 8, 9, 17", w: "24, 8, 3, 3"),
        narrow("bf16 less than half a register of columns", x: "1, 7, 5, 9", w: "37, 7, 1, 1"),
        narrow("bf16 grouped", x: "1, 12, 6, 7", w: "64, 3, 3, 3", groups: 4),
        narrow("bf16 depthwise", "conv-depthwise", x: "1, 37, 9, 13", w: "37, 1, 3, 3", groups: 37),
        narrow("f16 3x3", of: ("f16", "f16"), x: "1, 16, 9, 11", w: "37, 16, 3, 3"),
        narrow("f32 by f16", of: ("f32", "f16"), x: "1, 6, 9, 11", w: "24, 6, 3, 3"),
        narrow("f32 by bf16", of: ("f32", "bf16"), x: "1, 6, 9, 11", w: "40, 6, 1, 1"),
        narrow("f32 by f16, depthwise", "conv-depthwise", of: ("f32", "f16"), x: "1, 20, 9, 13", w: "20, 1, 3, 3", groups: 20),
        transposed("bf16 transposed 2x2 stride 2", of: "bf16", x: "1, 9, 5, 7", w: "9, 24, 2, 2", strides: [2, 2]),
        transposed("bf16 transposed 4x3, cropped", of: "bf16", x: "1, 8, 5, 6", w: "8, 16, 4, 3", strides: [2, 1], groups: 2, before: [1, 0], after: [1, 1], padding: [1, 0]),
        transposed("bf16 transposed to one channel", "conv-transpose-blocks", of: "bf16", x: "2, 9, 5, 11", w: "9, 1, 2, 2", strides: [2, 2], activation: "sigmoid"),
        KernelCase("bf16 matmul", "gemm-tile", "%x: bf16[29, 37], %kw: bf16[37, 70]", ["%c = matmul(%x, %kw)", "%c"]),
        KernelCase("bf16 matmul, residual and result of bf16", "gemm-tile", "%x: bf16[29, 36], %kw: bf16[36, 41], %y: bf16[29, 41]", [
            "%c = matmul(%x, %kw)", "%z = cast(%y, to: \"f32\")", "%d = binary.add(%c, %z)", "%e = cast(%d, to: \"bf16\")", "%e",
        ], tolerance: 5e-4),
        KernelCase("bf16 matmul, free rows", "gemm-tile", "%x: bf16[n, 24], %kw: bf16[24, 50]", ["%c = matmul(%x, %kw)", "%c"], dimensions: ["n": 19]),
        KernelCase("f32 by i8 matmul", "gemm-tile", "%x: f32[9, 64], %kw: i8[64, 200]", ["%c = matmul(%x, %kw)", "%c"]),
        KernelCase("f32 by i8 matmul, one row, several panels at once", "gemm-tile", "%x: f32[1, 64], %kw: i8[64, 730]", ["%c = matmul(%x, %kw)", "%c"]),
        KernelCase("f32 matmul, two rows, several panels at once", "gemm-tile", "%x: f32[2, 31], %kw: f32[31, 333]", ["%c = matmul(%x, %kw)", "%c"]),
        KernelCase("f32 by i8 matmul, free rows", "gemm-tile", "%x: f32[n, 40], %kw: i8[40, 50]", ["%c = matmul(%x, %kw)", "%c"], dimensions: ["n": 17]),
        KernelCase("bf16 matmul, rows that do not lie behind each other", "gemm-tile", "%x: bf16[32, 6], %kw: bf16[32, 40]", ["%t = transpose(%x, permutation: [1, 0])", "%c = matmul(%t, %kw)", "%c"]),
        KernelCase("u8 by i8 matmul, rows that do not lie behind each other", "gemm-tile", "%x: u8[32, 6], %kw: i8[32, 40]", ["%t = transpose(%x, permutation: [1, 0])", "%c = matmul(%t, %kw)", "%c"]),
        KernelCase("block matmul, one row", "gemm-blocks", "%x: f32[1, 64], %kc: u8[32, 333], %ks: f16[2, 333]", ["%c = block_matmul(%x, %kc, %ks, block: 32)", "%c"]),
        KernelCase("block matmul, minimums, small blocks", "gemm-blocks", "%x: f32[2, 11, 24], %kc: u8[12, 70], %ks: f32[3, 70], %km: f32[3, 70]", [
            "%c = block_matmul(%x, %kc, %ks, %km, block: 8)", "%d = unary.tanh(%c)", "%d",
        ]),
        KernelCase("block matmul, free rows", "gemm-blocks", "%x: f32[n, 64], %kc: u8[32, 50], %ks: bf16[1, 50]", ["%c = block_matmul(%x, %kc, %ks, block: 64)", "%c"], dimensions: ["n": 9]),
        KernelCase("integer block matmul, one row", "gemm-blocks-i8", "%x: f32[1, 64], %kc: u8[32, 333], %ks: f16[2, 333], %km: f16[2, 333]", [
            "%q, %qs, %qz = block_quantize(%x, block: 32)", "%c = block_matmul_integer(%q, %qs, %qz, %kc, %ks, %km, block: 32)", "%c",
        ]),
        KernelCase("integer block matmul, batches, no minimums", "gemm-blocks-i8", "%x: f32[2, 11, 48], %kc: u8[24, 70], %ks: f32[2, 70]", [
            "%q, %qs, %qz = block_quantize(%x, block: 24)", "%c = block_matmul_integer(%q, %qs, %qz, %kc, %ks, block: 24)", "%d = unary.tanh(%c)", "%d",
        ]),
        KernelCase("integer block matmul, rows that do not lie behind each other", "gemm-blocks-i8", "%x: i8[64, 13], %s: f32[13, 2], %z: f32[13, 2], %kc: u8[32, 40], %ks: bf16[2, 40]", [
            "%q = transpose(%x, permutation: [1, 0])", "%c = block_matmul_integer(%q, %s, %z, %kc, %ks, block: 32)", "%c",
        ]),
        KernelCase("integer block matmul, free rows, long blocks", "gemm-blocks-i8", "%x: f32[n, 256], %kc: u8[128, 50], %ks: bf16[2, 50], %km: bf16[2, 50]", [
            "%q, %qs, %qz = block_quantize(%x, block: 128)", "%c = block_matmul_integer(%q, %qs, %qz, %kc, %ks, %km, block: 128)", "%c",
        ], dimensions: ["n": 9]),
        KernelCase("block matmul of two bits, one row", "gemm-blocks", "%x: f32[1, 64], %kc: u8[16, 333], %ks: f16[2, 333]", ["%c = block_matmul(%x, %kc, %ks, block: 32, bits: 2)", "%c"]),
        KernelCase("block matmul of two bits, minimums, free rows", "gemm-blocks", "%x: f32[n, 48], %kc: u8[12, 70], %ks: f32[3, 70], %km: f32[3, 70]", [
            "%c = block_matmul(%x, %kc, %ks, %km, block: 16, bits: 2)", "%d = unary.tanh(%c)", "%d",
        ], dimensions: ["n": 9]),
        KernelCase("integer block matmul of two bits, one row", "gemm-blocks-i8", "%x: f32[1, 64], %kc: u8[16, 333], %ks: f16[2, 333]", [
            "%q, %qs, %qz = block_quantize(%x, block: 32)", "%c = block_matmul_integer(%q, %qs, %qz, %kc, %ks, block: 32, bits: 2)", "%c",
        ]),
        KernelCase("integer block matmul of two bits, minimums, batches", "gemm-blocks-i8", "%x: f32[2, 11, 48], %kc: u8[12, 70], %ks: f32[3, 70], %km: f32[3, 70]", [
            "%q, %qs, %qz = block_quantize(%x, block: 16)", "%c = block_matmul_integer(%q, %qs, %qz, %kc, %ks, %km, block: 16, bits: 2)", "%d = unary.tanh(%c)", "%d",
        ]),
        KernelCase("block matmul of eight bits, one row", "gemm-blocks", "%x: f32[1, 64], %kc: i8[64, 333], %ks: f16[2, 333]", ["%c = block_matmul(%x, %kc, %ks, block: 32)", "%c"]),
        KernelCase("block matmul of eight bits, minimums, free rows", "gemm-blocks", "%x: f32[n, 48], %kc: i8[48, 70], %ks: f32[3, 70], %km: f32[3, 70]", [
            "%c = block_matmul(%x, %kc, %ks, %km, block: 16)", "%d = unary.tanh(%c)", "%d",
        ], dimensions: ["n": 9]),
        KernelCase("integer block matmul of eight bits, one row", "gemm-blocks-i8", "%x: f32[1, 64], %kc: i8[64, 333], %ks: f16[2, 333]", [
            "%q, %qs, %qz = block_quantize(%x, block: 32)", "%c = block_matmul_integer(%q, %qs, %qz, %kc, %ks, block: 32)", "%c",
        ]),
        KernelCase("integer block matmul of eight bits, minimums, batches", "gemm-blocks-i8", "%x: f32[2, 11, 48], %kc: i8[48, 70], %ks: f32[3, 70], %km: f32[3, 70]", [
            "%q, %qs, %qz = block_quantize(%x, block: 16)", "%c = block_matmul_integer(%q, %qs, %qz, %kc, %ks, %km, block: 16)", "%d = unary.tanh(%c)", "%d",
        ]),
        KernelCase("matmul of rows in blocks by i8, one row", "gemm-rows-i8", "%x: f32[1, 64], %kw: i8[64, 333]", [
            "%q, %qs, %qz = block_quantize(%x, block: 32)", "%c = block_row_matmul(%q, %qs, %kw, block: 32)", "%c",
        ]),
        KernelCase("matmul of rows in blocks by i8, batches", "gemm-rows-i8", "%x: f32[2, 11, 48], %kw: i8[48, 70]", [
            "%q, %qs, %qz = block_quantize(%x, block: 24)", "%c = block_row_matmul(%q, %qs, %kw, block: 24)", "%d = unary.tanh(%c)", "%d",
        ]),
        KernelCase("matmul of rows in blocks by i8, free rows", "gemm-rows-i8", "%x: f32[n, 256], %kw: i8[256, 50]", [
            "%q, %qs, %qz = block_quantize(%x, block: 8)", "%c = block_row_matmul(%q, %qs, %kw, block: 8)", "%c",
        ], dimensions: ["n": 9]),
        KernelCase("f32 by f16 matmul", "gemm-tile", "%x: f32[1, 64], %kw: f16[64, 200]", ["%c = matmul(%x, %kw)", "%c"]),
        pool("max pool, bf16", "bf16[2, 37, 9, 11]", "fn: \"max\", window: [3, 3], strides: [2, 2], before: [1, 1], after: [1, 0]"),
        pool("max pool, f16", "f16[1, 16, 9, 11]", "fn: \"max\", window: [3, 3], strides: [2, 2], before: [1, 1], after: [1, 0]"),
    ]

    private static let products: [KernelCase] = [
        KernelCase("matmul", "gemm-tile", "%x: f32[29, 37], %kw: f32[37, 70]", ["%c = matmul(%x, %kw)", "%d = unary.erf(%c)", "%d"]),
        KernelCase("matmul, one row", "gemm-tile", "%x: f32[1, 64], %kw: f32[64, 200]", ["%c = matmul(%x, %kw)", "%c"]),
        KernelCase("matmul, batches of rows", "gemm-tile", "%x: f32[3, 4, 1, 20], %kw: f32[20, 33]", ["%c = matmul(%x, %kw)", "%c"]),
        KernelCase("matmul, free rows", "gemm-tile", "%x: f32[n, s, 24], %kw: f32[24, 50]", ["%c = matmul(%x, %kw)", "%c"], dimensions: ["n": 2, "s": 19]),
        KernelCase("matmul, constant batches", "gemm-tile", "%x: f32[3, 5, 12], %kw: f32[3, 12, 40]", ["%c = matmul(%x, %kw)", "%c"]),
        KernelCase("matmul, computed", "gemm-tile", "%x: f32[2, 3, 17, 24], %y: f32[2, 1, 24, 35]", ["%c = matmul(%x, %y)", "%c"]),
        KernelCase("matmul, transposed", "gemm-tile", "%x: f32[2, 30, 24], %y: f32[2, 35, 24]", [
            "%t = transpose(%y, permutation: [0, 2, 1])", "%c = matmul(%x, %t)", "%c",
        ]),
        KernelCase("matmul, computed and free", "gemm-tile", "%x: f32[a, b], %y: f32[c, b]", [
            "%t = transpose(%y, permutation: [1, 0])", "%c = matmul(%x, %t)", "%c",
        ], dimensions: ["a": 23, "b": 11, "c": 75]),
        KernelCase("matmul, u8 by i8", "gemm-tile", "%x: u8[13, 22], %kw: i8[22, 50]", ["%c = matmul(%x, %kw)", "%c"], tolerance: 0),
        KernelCase("matmul, i8 by i8", "gemm-tile", "%x: i8[13, 22], %kw: i8[22, 50]", ["%c = matmul(%x, %kw)", "%c"], tolerance: 0),
    ]

    private static let rows: [KernelCase] = [
        pool("max pool", "f32[2, 37, 9, 11]", "fn: \"max\", window: [3, 3], strides: [2, 2], before: [1, 1], after: [1, 0]"),
        pool("max pool, bytes", "u8[1, 20, 6, 7]", "fn: \"max\", window: [2, 3], strides: [2, 1], before: [0, 1], after: [0, 1]"),
        pool("average pool", "f32[1, 70, 7, 7]", "fn: \"average\", window: [7, 7], strides: [1, 1], before: [0, 0], after: [0, 0]"),
        pool("average pool, padded", "f32[1, 16, 6, 7]", "fn: \"average\", window: [3, 3], strides: [1, 2], before: [1, 1], after: [1, 1]"),
        attention("attention", "2, 3", "2, 3", s: "33", t: "33", d: 16, e: 20),
        attention("attention, grouped heads, causal", "1, 4", "1, 2", s: "19", t: "23", d: 8, e: 16, options: "causal: true, causal_offset: 4, softcap: 0.0"),
        attention("attention, soft cap", "1, 2", "1, 2", s: "8", t: "40", d: 12, e: 7, options: "causal: false, causal_offset: 0, softcap: 2.0"),
        attention("attention, additive mask", "2, 2", "2, 2", s: "14", t: "21", d: 8, e: 8, mask: "f32[2, 1, 1, 21]"),
        attention("attention, bool mask", "1, 2", "1, 2", s: "9", t: "21", d: 8, e: 8, mask: "bool[9, 21]"),
        attention("attention of one query", "2, 3", "2, 3", s: "1", t: "33", d: 16, e: 20),
        attention("attention of one query, grouped heads, causal", "2, 6", "2, 2", s: "1", t: "70", d: 20, e: 16, options: "causal: true, causal_offset: 69, softcap: 0.0"),
        attention("attention of one query, masked and capped", "1, 9", "1, 3", s: "1", t: "131", d: 8, e: 40, mask: "f32[1, 9, 1, 131]", options: "causal: false, causal_offset: 0, softcap: 2.0"),
        attention("attention of one query, bool mask", "1, 2", "1, 1", s: "1", t: "64", d: 8, e: 8, mask: "bool[1, 64]"),
        attention("attention of one query, free keys", "b, 4", "b, 2", s: "1", t: "t", d: 16, e: 16, dimensions: ["b": 2, "t": 93]),
        attention("attention, free", "b, 2", "b, 2", s: "s", t: "t", d: 16, e: 16, dimensions: ["b": 2, "s": 13, "t": 37]),
        KernelCase("layer norm", "layer-norm-rows", "%x: f32[5, 77], %ks: f32[77], %kb: f32[77]", [
            "%y = layer_norm(%x, %ks, %kb, axis: -1, epsilon: 1e-5)", "%y",
        ]),
        KernelCase("layer norm, free", "layer-norm-rows", "%x: f32[n, 3, m], %s: f32[m], %b: f32[1]", [
            "%y = layer_norm(%x, %s, %b, axis: -1, epsilon: 1e-5)", "%z = binary.add(%y, %x)", "%z",
        ], dimensions: ["n": 2, "m": 41]),
        KernelCase("global mean", "reduce-columns", "%x: f32[2, 37, 40, 45]", [
            "%l = relayout(%x, layout: \"nhwc\")", "%m = reduce.mean(%l, axes: [2, 3], keep_dims: true)",
            "%s = activation(%m, kind: \"sigmoid\")", "%r = relayout(%s, layout: \"row\")", "%r",
        ]),
        KernelCase("sum of rows", "reduce-columns", "%x: f32[3, 19, 5, 150]", ["%y = reduce.add(%x, axes: [1], keep_dims: false)", "%y"]),
        KernelCase("maximum, free", "reduce-columns", "%x: f32[n, m, 70]", ["%y = reduce.maximum(%x, axes: [0], keep_dims: true)", "%y"], dimensions: ["n": 21, "m": 6]),
        KernelCase("mean, free columns", "reduce-columns", "%x: f32[n, m]", ["%y = reduce.mean(%x, axes: [0])", "%y"], dimensions: ["n": 9, "m": 75]),
        KernelCase("rms norm", "rms-norm-rows", "%x: f32[2, 5, 64], %ks: f32[64]", ["%y = rms_norm(%x, %ks, axis: 2, epsilon: 1e-6)", "%y"]),
        KernelCase("softmax", "softmax-rows", "%x: f32[2, 7, 37]", ["%y = softmax(%x, axis: -1, log: false)", "%y"]),
        KernelCase("softmax, free", "softmax-rows", "%x: f32[n, m]", ["%y = softmax(%x, axis: 1, log: false)", "%y"], dimensions: ["n": 5, "m": 100]),
    ]

    /// A recurrent op on x [t, b, 6] with constant weights and `gates`·`hidden` rows. Rounding errors feed back through the state.
    private static func recurrence(
        _ name: String, _ op: String, gates: Int, hidden h: Int, t: String = "5", b: String = "3", directions d: Int = 1, more: [String] = [],
        operands: String = "", options: String = "", dimensions: [String: Int] = [:]
    ) -> KernelCase {
        let states = op == "lstm" ? 2 : 1, rows = gates * h
        let arguments = ["%x: f32[\(t), \(b), 6]", "%kw: f32[\(d), \(rows), 6]", "%kr: f32[\(d), \(rows), \(h)]", "%kb: f32[\(d), \(2 * rows)]"]
            + (0..<states).map { "%s\($0): f32[\(d), \(b), \(h)]" } + (operands.contains("%kp") ? ["%kp: f32[\(d), \(3 * h)]"] : [])
        let results = (0...states).map { "%r\($0)" }.joined(separator: ", "), initial = (0..<states).map { ", %s\($0)" }.joined()
        let direction = d == 2 ? "bidirectional" : options.contains("direction") ? "" : "forward"
        return KernelCase(name, "recurrent-steps", arguments.joined(separator: ", "), more + [
            "\(results) = \(op)(%x, %kw, %kr, %kb\(initial)\(operands), hidden: \(h)\(direction.isEmpty ? "" : ", direction: \(direction)")\(options))", results,
        ], dimensions: dimensions, tolerance: 1e-5)
    }

    private static let recurrences: [KernelCase] = [
        recurrence("lstm", "lstm", gates: 4, hidden: 32),
        recurrence("lstm, both directions, odd size", "lstm", gates: 4, hidden: 21, directions: 2),
        recurrence("lstm, one step of one sequence", "lstm", gates: 4, hidden: 16, t: "1", b: "1"),
        recurrence("lstm, free sizes", "lstm", gates: 4, hidden: 20, t: "t", b: "b", dimensions: ["t": 4, "b": 6]),
        recurrence("lstm, peepholes, clip", "lstm", gates: 4, hidden: 19, operands: ", %kp", options: ", clip: 0.5, peepholes: true, input_forget: true"),
        recurrence("lstm, lengths", "lstm", gates: 4, hidden: 18, directions: 2, more: ["%n = constant(value: i32[3](5, 2, 0))"], operands: ", %n", options: ", lengths: true"),
        recurrence("lstm, other activations", "lstm", gates: 4, hidden: 17, options: ", activations: [\"hardSigmoid\", \"softsign\", \"elu\"]"),
        recurrence("gru", "gru", gates: 3, hidden: 24, b: "9"),
        recurrence("gru, linear before reset, backwards", "gru", gates: 3, hidden: 33, options: ", direction: reverse, linear_before_reset: true"),
        recurrence("rnn, both directions", "rnn", gates: 1, hidden: 40, directions: 2),
    ]
}
