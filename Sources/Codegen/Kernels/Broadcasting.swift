import GlmcIR

extension TensorView {
    /// The stride along `axis` of a tensor that broadcasts to `extent` there: 0 where it has one element, which may show only when
    /// the model runs.
    func stride(_ axis: Int, broadcastTo extent: Extent) -> Extent {
        if shape[axis] == 1 { return 0 }
        return shape[axis].broadcastsAsKnown(to: extent) ? strides[axis] : strides[axis] * .minimum(shape[axis] - 1, 1)
    }
}

extension Extent {
    /// Whether it is known at compile time if an axis of this size is repeated where it broadcasts to `extent`.
    func broadcastsAsKnown(to extent: Extent) -> Bool { isConstant || self == extent }
}
