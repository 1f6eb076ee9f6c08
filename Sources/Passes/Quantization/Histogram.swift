#if canImport(Glibc)
import Glibc
#endif

/// How the values of one tensor are distributed, over any number of samples. The range always includes 0 and grows by
/// doubling, so one pass over the data is enough and no bin is ever split.
public struct Histogram: Hashable, Sendable {
    public static let binCount = 2048
    /// A smaller spread than this counts as none: its bins could not be told apart in f32.
    static let negligible = 1e-30

    /// The extremes of all finite values, and 0.
    public private(set) var minimum = 0.0
    public private(set) var maximum = 0.0
    /// How many finite values were counted.
    public private(set) var count = 0
    /// How many values were infinite or no numbers.
    public private(set) var invalid = 0
    /// The lower edge of bin 0, and the width of a bin; 0 until a value other than 0 is seen.
    public private(set) var low = 0.0
    public private(set) var width = 0.0
    public private(set) var bins = [Int](repeating: 0, count: binCount)
    /// Zeros seen before the width was known.
    private var zeros = 0

    public init() {}

    /// Adds values: one scan for the range, one for the bins.
    public mutating func add(_ values: UnsafeBufferPointer<Float>) {
        var least: Float = 0, most: Float = 0, finite = 0
        for value in values where value.isFinite {
            least = Swift.min(least, value)
            most = Swift.max(most, value)
            finite += 1
        }
        invalid += values.count - finite
        guard finite > 0 else { return }
        count += finite
        minimum = Swift.min(minimum, Double(least))
        maximum = Swift.max(maximum, Double(most))
        guard maximum - minimum > Histogram.negligible else { 
            zeros += finite
            return
        }
        cover()
        let scale = Float(1 / width), origin = Float(low), top = Float(Histogram.binCount - 1)
        bins.withUnsafeMutableBufferPointer { bins in
            for value in values where value.isFinite {
                bins[Int(Swift.min(Swift.max((value - origin) * scale, 0), top))] += 1
            }
        }
    }

    /// Grows the range until it covers the extremes.
    private mutating func cover() {
        let top = Histogram.binCount
        if width == 0 {
            // Zero lies at the edge of a bin, so that ReLU's zeros do not blur with small values.
            width = (maximum - minimum) / Double(top - 2)
            low = (minimum / width).rounded(.down) * width
            bins[bin(0)] += zeros
            zeros = 0
        }
        while minimum < low || maximum >= low + width * Double(top) {
            let downwards = minimum < low
            var merged = [Int](repeating: 0, count: top)
            for i in 0..<top { merged[(downwards ? top / 2 : 0) + i / 2] += bins[i] }
            if downwards { low -= width * Double(top) }
            width *= 2
            bins = merged
        }
    }

    private func bin(_ value: Double) -> Int { Swift.min(Swift.max(Int((value - low) / width), 0), Histogram.binCount - 1) }

    /// The middle of a bin.
    public func centre(_ bin: Int) -> Double { low + (Double(bin) + 0.5) * width }
}

/// A range of real values that includes 0.
public struct ValueRange: Hashable, Sendable {
    public var low: Double
    public var high: Double
    public init(low: Double, high: Double) {
        self.low = Swift.min(low, 0)
        self.high = Swift.max(high, 0)
    }
    public func union(_ other: ValueRange) -> ValueRange { ValueRange(low: Swift.min(low, other.low), high: Swift.max(high, other.high)) }
}

/// How the range to quantise is chosen from the distribution of a tensor's values.
public enum CalibrationMethod: String, Hashable, Sendable, CaseIterable {
    /// The method of least expected error.
    case auto
    /// Everything that was seen.
    case minmax
    /// All but the outermost ten-thousandth of the values on either side.
    case percentile
    /// The least mean squared error of rounding inside and clipping outside.
    case mse
    /// The least information lost (Kullback-Leibler divergence between the values and their 256 levels).
    case entropy
}

extension Histogram {
    /// The range to quantise to 256 levels.
    public func range(_ method: CalibrationMethod, percentile: Double = 0.9999) -> ValueRange {
        let all = ValueRange(low: minimum, high: maximum)
        guard width > 0 else { return all }
        switch method {
        case .minmax: return all
        case .percentile: return percentileRange(percentile)
        case .entropy: return entropyRange()
        case .auto, .mse: return ErrorModel(self).best(all)
        }
    }

    /// The expected squared error of quantising to 256 levels over `range`, divided by the mean square of the values.
    public func relativeError(_ range: ValueRange) -> Double {
        guard width > 0 else { return 0 }
        let model = ErrorModel(self)
        return model.power > 0 ? model.error(range) / model.power : 0
    }

    private func percentileRange(_ percentile: Double) -> ValueRange {
        let tail = Int(Double(count) * (1 - percentile))
        func cut(_ order: [Int]) -> Int {
            var seen = 0
            for i in order {
                seen += bins[i]
                if seen > tail { return i }
            }
            return order.last ?? 0
        }
        let indices = Array(bins.indices)
        return ValueRange(
            low: Swift.max(minimum, low + Double(cut(indices)) * width),
            high: Swift.min(maximum, low + Double(cut(indices.reversed()) + 1) * width))
    }

    /// Follows Migacz, "8-bit inference with TensorRT": of the candidate ranges, takes the one whose 256 levels say most about
    /// the values.
    private func entropyRange() -> ValueRange {
        let all = ValueRange(low: minimum, high: maximum)
        let zero = Swift.min(Swift.max(Int((-low / width).rounded()), 0), bins.count)
        var best = all, least = Double.infinity
        for step in 16...128 {
            let share = Double(step) / 128
            let first = zero - Int((Double(zero) * share).rounded(.up)), last = zero + Int((Double(bins.count - zero) * share).rounded(.up))
            guard last - first >= 256 else { continue }
            let loss = divergence(first, last)
            if loss < least {
                least = loss
                best = ValueRange(low: Swift.max(minimum, low + Double(first) * width), high: Swift.min(maximum, low + Double(last) * width))
            }
        }
        return best
    }

    private func divergence(_ first: Int, _ last: Int) -> Double {
        var p = bins[first..<last].map(Double.init)
        let inside = p.reduce(0, +)
        guard inside > 0 else { return .infinity }
        let original = p
        p[0] += bins[..<first].reduce(0) { $0 + Double($1) }
        p[p.count - 1] += bins[last...].reduce(0) { $0 + Double($1) }
        // Every level's values spread evenly over the bins of the level that hold any.
        var q = [Double](repeating: 0, count: p.count)
        for level in 0..<256 {
            let from = level * p.count / 256, to = (level + 1) * p.count / 256
            let filled = original[from..<to].reduce(0.0) { $0 + ($1 > 0 ? 1 : 0) }
            let mean = filled > 0 ? original[from..<to].reduce(0, +) / filled : 0
            for i in from..<to where original[i] > 0 { q[i] = mean }
        }
        let total = p.reduce(0, +)
        var loss = 0.0
        for i in p.indices where p[i] > 0 {
            // A clipped value in an empty bin has no level of its own: a small share stands for the nearest one's.
            loss += p[i] / total * log(p[i] / total / Swift.max(q[i] / inside, 1e-9))
        }
        return loss
    }
}

/// The expected squared error of a range in constant time, from running sums.
private struct ErrorModel {
    let histogram: Histogram
    /// Running counts, sums and sums of squares over the bins.
    private var counts = [0.0], sums = [0.0], squares = [0.0]
    /// The mean square of all values.
    var power: Double { squares[squares.count - 1] / Swift.max(counts[counts.count - 1], 1) }

    init(_ histogram: Histogram) {
        self.histogram = histogram
        for (i, count) in histogram.bins.enumerated() {
            let x = histogram.centre(i), n = Double(count)
            counts.append(counts[i] + n)
            sums.append(sums[i] + n * x)
            squares.append(squares[i] + n * x * x)
        }
    }

    func error(_ range: ValueRange) -> Double {
        let total = counts[counts.count - 1], last = counts.count - 1
        let step = (range.high - range.low) / 255
        func edge(_ x: Double) -> Int { Swift.min(Swift.max(Int(((x - histogram.low) / histogram.width).rounded()), 0), last) }
        let (a, b) = (edge(range.low), edge(range.high))
        func distance(_ from: Int, _ to: Int, _ x: Double) -> Double {
            Swift.max(0, squares[to] - squares[from] - 2 * x * (sums[to] - sums[from]) + x * x * (counts[to] - counts[from]))
        }
        let clipped = distance(0, a, range.low) + distance(b, last, range.high)
        return (clipped + (counts[b] - counts[a]) * step * step / 12) / Swift.max(total, 1)
    }

    /// Shrinks both ends in turn while that pays.
    func best(_ all: ValueRange) -> ValueRange {
        var best = all, least = error(all)
        for _ in 0..<2 {
            for end in [\ValueRange.high, \ValueRange.low] {
                let outermost = all[keyPath: end]
                for step in 10...100 {
                    var candidate = best
                    candidate[keyPath: end] = outermost * Double(step) / 100
                    let loss = error(candidate)
                    if loss < least { (best, least) = (candidate, loss) }
                }
            }
        }
        return best
    }
}
