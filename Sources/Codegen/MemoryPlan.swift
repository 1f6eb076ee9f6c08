import GlmcIR

/// Where every area of the workspace lies.
///
/// Areas of known size are packed greedily, largest first, each at the lowest offset that is free during its life. Areas whose
/// size depends on dimensions share slots: a slot is as large as the largest area it ever holds, and slots follow one another
/// after the fixed part.
struct MemoryPlan {
    static let alignment = 64

    /// An address in the workspace: a fixed offset, the start of a slot, or an offset in the running thread's own part.
    enum Address: Hashable {
        case fixed(Int)
        case slot(Int)
        case thread(Extent)
    }

    /// Addresses of arena roots.
    private(set) var addresses: [RootID: Address] = [:]
    /// Addresses of scratch areas.
    private(set) var scratch: [Address] = []
    /// Bytes of the fixed part.
    private(set) var fixedBytes = 0
    /// The sizes of everything that a slot holds: it must be as large as the largest. Bounds of data-dependent dimensions are
    /// filled in.
    private(set) var slots: [[Extent]] = []
    /// Bytes of scratch that each thread has for itself, after everything else.
    private(set) var perThreadBytes: Extent = 0
    /// The most bytes that are alive at once, of areas with known size: no plan can be smaller.
    private(set) var lowerBound = 0

    private struct Area {
        var id: AreaID
        var size: Extent
        var first: Int
        var last: Int
    }
    private enum AreaID: Hashable {
        case root(RootID)
        case scratch(Int)
    }

    init(_ program: Program) {
        var lives: [AreaID: (Int, Int)] = [:]
        var clock = 0
        Self.walk(program.steps, program, &clock, &lives)
        var areas: [Area] = []
        for (i, root) in program.roots.enumerated() where root.kind == .arena {
            guard let life = lives[.root(RootID(index: i))] else { continue }
            areas.append(Area(id: .root(RootID(index: i)), size: program.bounded(root.byteCount), first: life.0, last: life.1))
        }
        scratch = Array(repeating: .fixed(0), count: program.scratch.count)
        var perThread: [Int: Extent] = [:]
        for (i, area) in program.scratch.enumerated() {
            guard let life = lives[.scratch(i)] else { continue }
            let size = program.bounded(area.byteCount)
            if area.perThread {
                // Launches run one after another, so their private areas overlap.
                let offset = perThread[life.0] ?? 0
                scratch[i] = .thread(offset)
                perThread[life.0] = offset + Self.aligned(size)
                perThreadBytes = .maximum(perThreadBytes, offset + Self.aligned(size))
            } else {
                areas.append(Area(id: .scratch(i), size: size, first: life.0, last: life.1))
            }
        }
        place(areas)
    }

    subscript(root: RootID) -> Address { addresses[root] ?? .fixed(0) }

    /// Notes when each area is first and last touched. Everything touched inside a loop lives through all of it.
    private static func walk(_ steps: [Step], _ program: Program, _ clock: inout Int, _ lives: inout [AreaID: (Int, Int)]) {
        func touch(_ id: AreaID, _ time: Int) {
            lives[id] = lives[id].map { (Swift.min($0.0, time), Swift.max($0.1, time)) } ?? (time, time)
        }
        for step in steps {
            clock += 1
            switch step {
            case .launch(let launch):
                for argument in launch.arguments {
                    switch argument {
                    case .root(let root): touch(.root(root), clock)
                    case .scratch(let i): touch(.scratch(i), clock)
                    case .packed: break
                    }
                }
            case .conditional(let condition, let then, let otherwise):
                touch(.root(condition.root), clock)
                walk(then, program, &clock, &lives)
                walk(otherwise, program, &clock, &lives)
            case .loop(let loop):
                let start = clock
                var inner: [AreaID: (Int, Int)] = [:]
                walk(loop.body, program, &clock, &inner)
                clock += 1
                for place in [loop.tripCount, loop.condition, loop.counter] { if let place { inner[.root(place.root)] = (start, clock) } }
                for id in inner.keys {
                    touch(id, start)
                    touch(id, clock)
                }
            }
        }
    }

    private mutating func place(_ areas: [Area]) {
        var placed: [(area: Area, offset: Int, size: Int)] = []
        let fixed = areas.compactMap { area in area.size.constant.map { (area, Self.align($0)) } }
            .sorted { ($0.1, -$0.0.first) > ($1.1, -$1.0.first) }
        for (area, size) in fixed {
            let busy = placed.filter { $0.area.first <= area.last && area.first <= $0.area.last }.sorted { $0.offset < $1.offset }
            var offset = 0
            for other in busy {
                if offset + size <= other.offset { break }
                offset = Swift.max(offset, other.offset + other.size)
            }
            placed.append((area, offset, size))
            assign(area.id, .fixed(offset))
            fixedBytes = Swift.max(fixedBytes, offset + size)
        }
        let times = Set(fixed.map(\.0.first))
        lowerBound = times.map { time in fixed.filter { $0.0.first <= time && time <= $0.0.last }.reduce(0) { $0 + $1.1 } }.max() ?? 0

        var ends: [Int] = []
        for area in areas.filter({ $0.size.constant == nil }).sorted(by: { $0.first < $1.first }) {
            let free = slots.indices.filter { ends[$0] < area.first }
            // A slot of the same size costs nothing; any free one is better than a new one.
            if let slot = free.first(where: { slots[$0].contains(Self.aligned(area.size)) }) ?? free.first {
                if !slots[slot].contains(Self.aligned(area.size)) { slots[slot].append(Self.aligned(area.size)) }
                ends[slot] = area.last
                assign(area.id, .slot(slot))
            } else {
                slots.append([Self.aligned(area.size)])
                ends.append(area.last)
                assign(area.id, .slot(slots.count - 1))
            }
        }
    }

    private mutating func assign(_ id: AreaID, _ address: Address) {
        switch id {
        case .root(let root): addresses[root] = address
        case .scratch(let i): scratch[i] = address
        }
    }

    private static func align(_ size: Int) -> Int { (size + alignment - 1) / alignment * alignment }
    private static func aligned(_ size: Extent) -> Extent {
        size.constant.map { Extent(align($0)) } ?? size.ceilDivided(by: Extent(alignment)) * Extent(alignment)
    }

    /// Whether two arena roots may share bytes.
    func overlap(_ a: RootID, _ b: RootID, _ program: Program) -> Bool {
        if a == b { return true }
        switch (self[a], self[b]) {
        case (.slot(let x), .slot(let y)): return x == y
        case (.fixed(let x), .fixed(let y)):
            guard let m = program.bounded(program.roots[a.index].byteCount).constant, let n = program.bounded(program.roots[b.index].byteCount).constant else { return true }
            return x < y + n && y < x + m
        default: return false
        }
    }
}
