/// All op types by mnemonic: what the parser, `glmc ops` and the property tests know. A package with ops of its own builds a
/// registry from `standard` plus its types.
public struct OpRegistry: Sendable {
    public struct Entry: Sendable {
        public let mnemonic: String
        public let summary: String
        public let type: any Op.Type
    }

    public private(set) var entries: [String: Entry] = [:]

    public init(_ types: [any Op.Type]) {
        for type in types { entries[type.mnemonic] = Entry(mnemonic: type.mnemonic, summary: type.summary, type: type) }
    }

    /// Every op of this library; one line per op.
    public static let standard = OpRegistry([
        Select.self, Cast.self, Bitcast.self, Iota.self,
        Transpose.self, Reshape.self, Slice.self, Expand.self, Relayout.self,
        Concat.self, Pad.self, Gather.self, GatherElements.self, GatherND.self,
        Reduce.self, ArgReduce.self, Cumulative.self, ReverseSequence.self, ScatterElements.self, ScatterND.self, InsertSlice.self,
        TopK.self, NonZero.self, Compress.self, Unique.self, NonMaxSuppression.self, If.self, Iterate.self, Scan.self,
        Constant.self, Extents.self, Unary.self, Binary.self,
        Activation.self, Convolution.self, MatMul.self, BlockMatMul.self, BlockMatMulInteger.self, BlockRowMatMul.self, BlockQuantize.self, Pool.self,
        Softmax.self, LayerNorm.self, RMSNorm.self, Quantize.self, Dequantize.self, RoundSaturate.self,
        TransposedConvolution.self, Attention.self, Lstm.self, Gru.self, Rnn.self,
        Resize.self, GridSample.self, RoiAlign.self, MaxUnpool.self, DynamicQuantize.self,
    ])
}
