/// The geometry of a sliding window along the spatial axes of an image: shared by convolution and pooling.
struct Window: Hashable, Sendable {
    var size: [Extent]
    var strides: [Int]
    var dilations: [Int]

    /// - Throws: `Diagnostic` where an attribute has the wrong length or a value below 1.
    func check(spatialRank: Int) throws {
        for (name, count) in [("window", size.count), ("strides", strides.count), ("dilations", dilations.count)] where count != spatialRank {
            throw Diagnostic(.invalid, "\(name) has \(count) entries for \(spatialRank) spatial axes")
        }
        guard (strides + dilations).allSatisfy({ 1..<1 << 20 ~= $0 }) else {
            throw Diagnostic(.invalid, "strides \(strides) and dilations \(dilations) must be positive and less than 2^20")
        }
        if let bad = size.compactMap(\.constant).first(where: { $0 < 1 }) { throw Diagnostic(.invalid, "a window of size \(bad)") }
        guard Tensor.byteCount(.f64, size.compactMap(\.constant)) ?? .max <= 1 << 40 else { throw Diagnostic(.invalid, "a window of \(size) elements") }
    }

    /// How far the window reaches along `axis`: `(size − 1)·dilation + 1`.
    func reach(_ axis: Int) -> Extent { (size[axis] - 1) * Extent(dilations[axis]) + 1 }

    /// The number of window positions inside `extent` along `axis`: `⌊(extent − reach) / stride⌋ + 1`.
    /// - Throws: `Diagnostic` where the window is larger than the extent.
    func positions(_ axis: Int, in extent: Extent) throws -> Extent {
        let room = extent - reach(axis)
        if let value = room.constant, value < 0 {
            throw Diagnostic(.invalid, "a window that reaches over \(reach(axis)) elements does not fit an extent of \(extent)")
        }
        return room.floorDivided(by: Extent(strides[axis])) + 1
    }
}
