import Foundation
import GlmcIR

/// What is added to scores by how far a key stands from its query (Raffel et al. 2020): distances fall into buckets, for each of which every head has a number.
struct RelativePositions: Hashable {
    var buckets: Int
    /// Distances from here on share a bucket.
    var furthest: Int
    /// Keys behind their query have half of the buckets; otherwise they share that of distance 0.
    var isBidirectional: Bool

    /// Buckets of one direction, and those of them that hold a single distance.
    private var side: Int { isBidirectional ? buckets / 2 : buckets }
    private var exact: Int { side / 2 }

    /// Whether there are single distances, and further ones.
    var isValid: Bool { exact > 0 && furthest > exact }

    /// The bucket of a key that stands `distance` behind the query: half of them for single distances, the others in logarithmic steps.
    func bucket(_ distance: Int) -> Int {
        let size = isBidirectional ? abs(distance) : max(-distance, 0)
        let start = isBidirectional && distance > 0 ? side : 0
        guard size >= exact else { return start + size }
        // In f32, as the models were trained.
        let steps = log(Float(size) / Float(exact)) / Float(log(Double(furthest) / Double(exact))) * Float(side - exact)
        return start + min(exact + Int(steps), side - 1)
    }

    /// What is added to scores, f32 [batch, heads, n, keys].
    /// - Parameters:
    ///   - table: f32 [buckets, heads].
    ///   - positions: of queries, i64 [batch, n].
    ///   - keys: how many keys there are, from position 0 on.
    func bias(_ table: ValueID, _ positions: ValueID, keys: Extent, in g: inout ModelGraph) throws -> ValueID {
        let byDistance = try g.gather(table, try g.ints((-furthest...furthest).map(bucket)), axis: 0)
        let distances = try g.sub(try g.iota(keys, axis: 2, rank: 3), try g.unsqueeze(positions, [2]))
        let bounded = try g.binary(.minimum, try g.binary(.maximum, distances, Double(-furthest)), Double(furthest))
        return try g.transpose(try g.gather(byDistance, try g.add(bounded, Double(furthest)), axis: 0), [0, 3, 1, 2])
    }
}
