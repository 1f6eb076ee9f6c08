/// A minimum cut between a source and a sink: the cheapest way to divide nodes into two sides. Dinic's algorithm.
struct MinimumCut {
    private struct Edge {
        var to: Int
        var capacity: Int
    }

    /// Edge `e` and its reverse are neighbours: `e ^ 1`.
    private var edges: [Edge] = []
    private var outgoing: [[Int]]
    private let source: Int
    private let sink: Int

    /// More than any sum of real costs.
    static let infinity = 1 << 56

    /// - Parameter count: number of nodes, named 0 ..< count.
    init(count: Int) {
        outgoing = Array(repeating: [], count: count + 2)
        source = count
        sink = count + 1
    }

    /// Putting `node` on the sink's side costs `cost`.
    mutating func addCost(ofSinkSide node: Int, _ cost: Int) { connect(source, node, cost, 0) }
    /// Putting `node` on the source's side costs `cost`.
    mutating func addCost(ofSourceSide node: Int, _ cost: Int) { connect(node, sink, cost, 0) }
    /// Having `a` on the source's side and `b` on the sink's costs `forward`, the reverse `backward`.
    mutating func addCost(between a: Int, _ b: Int, forward: Int, backward: Int) { connect(a, b, forward, backward) }

    private mutating func connect(_ a: Int, _ b: Int, _ forward: Int, _ backward: Int) {
        guard forward > 0 || backward > 0, a != b else { return }
        outgoing[a].append(edges.count)
        edges.append(Edge(to: b, capacity: forward))
        outgoing[b].append(edges.count)
        edges.append(Edge(to: a, capacity: backward))
    }

    /// For each node, whether it lies on the source's side of the cheapest division; of several, the one with the fewest nodes there.
    mutating func solve() -> [Bool] {
        while let levels = levels() {
            var next = [Int](repeating: 0, count: outgoing.count)
            while augment(levels, &next) {}
        }
        var reached = [Bool](repeating: false, count: outgoing.count)
        var queue = [source]
        reached[source] = true
        while let node = queue.popLast() {
            for e in outgoing[node] where edges[e].capacity > 0 && !reached[edges[e].to] {
                reached[edges[e].to] = true
                queue.append(edges[e].to)
            }
        }
        return Array(reached.dropLast(2))
    }

    /// Distances from the source along edges with capacity left; nil where the sink is out of reach.
    private func levels() -> [Int]? {
        var levels = [Int](repeating: -1, count: outgoing.count)
        levels[source] = 0
        var queue = [source], head = 0
        while head < queue.count {
            let node = queue[head]
            head += 1
            for e in outgoing[node] where edges[e].capacity > 0 && levels[edges[e].to] < 0 {
                levels[edges[e].to] = levels[node] + 1
                queue.append(edges[e].to)
            }
        }
        return levels[sink] < 0 ? nil : levels
    }

    /// Sends flow along one path of rising levels; false where there is none. Iterative, since paths are as long as models are deep.
    private mutating func augment(_ levels: [Int], _ next: inout [Int]) -> Bool {
        var path: [Int] = []
        var node = source
        while node != sink {
            var advanced = false
            while next[node] < outgoing[node].count {
                let e = outgoing[node][next[node]]
                if edges[e].capacity > 0, levels[edges[e].to] == levels[node] + 1 {
                    path.append(e)
                    node = edges[e].to
                    advanced = true
                    break
                }
                next[node] += 1
            }
            if advanced { continue }
            guard let last = path.popLast() else { return false }
            node = edges[last ^ 1].to
            next[node] += 1
        }
        let flow = path.map { edges[$0].capacity }.min() ?? 0
        for e in path {
            edges[e].capacity -= flow
            edges[e ^ 1].capacity += flow
        }
        return flow > 0
    }
}
