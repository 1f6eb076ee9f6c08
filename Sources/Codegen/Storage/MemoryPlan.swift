import GlmcIR

/// Where every area of the workspace lies.
///
/// Areas of known size are packed greedily, largest first, each at the lowest offset that is free during its life. Areas whose
/// size depends on dimensions share slots: a slot is as large as the largest area it ever holds, and slots follow one another
/// after the fixed part.
struct MemoryPlan {
    static let alignment = 64

    /// An address in the workspace: a fixed offset, the start of a slot, or an offset in the part that each thread has for itself.
    enum Address: Hashable {
        case fixed(Int)
        case slot(Int)
        case thread(Extent)
    }

    /// Bytes that nothing may touch.
    struct RedZone {
        var start: Address
        /// Where the red zone begins and ends, counted from `start`.
        var from: Extent
        var to: Extent
    }

    /// Of what lies in the workspace.
    private(set) var addresses: [StorageID: Address] = [:]
    /// Bytes of the fixed part.
    private(set) var fixedBytes = 0
    /// The sizes of everything that a slot holds: it must be as large as the largest. Bounds of data-dependent dimensions are
    /// filled in.
    private(set) var slots: [[Extent]] = []
    /// Bytes of scratch that each thread has for itself, after everything else.
    private(set) var perThreadBytes: Extent = 0
    /// The most bytes that are alive at once, of areas with known size: no plan can be smaller.
    private(set) var lowerBound = 0
    /// Behind every area of a plan with red zones.
    private(set) var redZones: [RedZone] = []
    /// The size of each storage of known size that is placed.
    private var sizes: [StorageID: Int] = [:]
    /// Bytes that every area is followed by: 0, but in a plan with red zones.
    private let redZone: Int

    private struct Area {
        var id: StorageID
        var size: Extent
        var first: Int
        var last: Int
    }

    /// - Parameter hasRedZones: gives every area bytes of its own for the whole run with a red zone behind, for tools that find stray accesses.
    init(_ program: Program, hasRedZones: Bool = false) {
        redZone = hasRedZones ? Self.alignment : 0
        var lives: [StorageID: (Int, Int)] = [:]
        var clock = 0
        Self.walk(program.steps, program, &clock, &lives)
        var areas: [Area] = []
        // Launches run one after another, so their private areas overlap.
        var ends: [Int: Extent] = [:]
        for (i, storage) in program.storages.enumerated() {
            let id = StorageID(index: i)
            guard let life = lives[id] else { continue }
            let size = program.bounded(storage.byteCount)
            switch storage.owner {
            case .input, .output, .state, .weight: continue
            case .arena, .scratch(perThread: false):
                areas.append(Area(id: id, size: size, first: hasRedZones ? 0 : life.0, last: hasRedZones ? clock : life.1))
                continue
            case .scratch(perThread: true): break
            }
            let key = hasRedZones ? 0 : life.0, offset = ends[key] ?? 0
            addresses[id] = .thread(offset)
            let end = offset + padded(size)
            if hasRedZones { redZones.append(RedZone(start: .thread(offset), from: size, to: padded(size))) }
            ends[key] = end
            perThreadBytes = .maximum(perThreadBytes, end)
        }
        place(areas)
    }

    subscript(storage: StorageID) -> Address { addresses[storage] ?? .fixed(0) }

    /// Notes when each area is first and last touched. Everything touched inside a loop lives through all of it.
    private static func walk(_ steps: [Step], _ program: Program, _ clock: inout Int, _ lives: inout [StorageID: (Int, Int)]) {
        func touch(_ id: StorageID, _ time: Int) {
            lives[id] = lives[id].map { (Swift.min($0.0, time), Swift.max($0.1, time)) } ?? (time, time)
        }
        for step in steps {
            clock += 1
            switch step {
            case .launch(let launch):
                for argument in launch.arguments { touch(argument.storage, clock) }
            case .define, .demand: break
            case .conditional(let condition, let then, let otherwise):
                touch(condition.storage, clock)
                walk(then, program, &clock, &lives)
                walk(otherwise, program, &clock, &lives)
            case .loop(let loop):
                let start = clock
                var inner: [StorageID: (Int, Int)] = [:]
                walk(loop.body, program, &clock, &inner)
                clock += 1
                for storage in loop.storages { inner[storage] = (start, clock) }
                for id in inner.keys {
                    touch(id, start)
                    touch(id, clock)
                }
            }
        }
    }

    private mutating func place(_ areas: [Area]) {
        // By offset.
        var placed: [(first: Int, last: Int, offset: Int, size: Int)] = []
        let fixed = areas.compactMap { area in area.size.constant.flatMap { padded(Extent($0)).constant.map { (area, $0) } } }
            .sorted { ($0.1, -$0.0.first) > ($1.1, -$1.0.first) }
        for (area, size) in fixed {
            var offset = 0
            for other in placed where other.first <= area.last && area.first <= other.last {
                if offset + size <= other.offset { break }
                offset = Swift.max(offset, other.offset + other.size)
            }
            let position = placed.firstPosition { $0.offset >= offset }
            placed.insert((area.first, area.last, offset, size), at: position)
            assign(area, .fixed(offset))
            fixedBytes = Swift.max(fixedBytes, offset + size)
        }
        lowerBound = Self.mostAlive(fixed)

        var ends: [Int] = []
        for area in areas.filter({ $0.size.constant == nil }).sorted(by: { $0.first < $1.first }) {
            let free = slots.indices.lazy.filter { ends[$0] < area.first }, size = padded(area.size)
            // A slot of the same size costs nothing; any free one is better than a new one.
            if let slot = free.first(where: { slots[$0].contains(size) }) ?? free.first {
                if !slots[slot].contains(size) { slots[slot].append(size) }
                ends[slot] = area.last
                assign(area, .slot(slot))
            } else {
                slots.append([size])
                ends.append(area.last)
                assign(area, .slot(slots.count - 1))
            }
        }
    }

    /// The most bytes of areas that are alive at one time.
    private static func mostAlive(_ areas: [(Area, size: Int)]) -> Int {
        var changes: [Int: Int] = [:]
        for (area, size) in areas {
            changes[area.first, default: 0] += size
            changes[area.last + 1, default: 0] -= size
        }
        var alive = 0, most = 0
        for (_, change) in changes.sorted(by: { $0.key < $1.key }) {
            alive += change
            most = Swift.max(most, alive)
        }
        return most
    }

    private mutating func assign(_ area: Area, _ address: Address) {
        addresses[area.id] = address
        sizes[area.id] = area.size.constant
        if redZone > 0 { redZones.append(RedZone(start: address, from: area.size, to: padded(area.size))) }
    }

    /// The size that an area takes up: aligned, with its red zone.
    private func padded(_ size: Extent) -> Extent {
        (size + Extent(redZone)).ceilDivided(by: Extent(Self.alignment)) * Extent(Self.alignment)
    }

    /// Whether two storages in the workspace may share bytes.
    func overlap(_ a: StorageID, _ b: StorageID) -> Bool {
        if a == b { return true }
        switch (self[a], self[b]) {
        case (.slot(let x), .slot(let y)): return x == y
        case (.fixed(let x), .fixed(let y)):
            guard let m = sizes[a], let n = sizes[b] else { return true }
            return x < y + n && y < x + m
        default: return false
        }
    }
}

extension Array {
    /// The first position from which on `predicate` holds, in an array in which it holds from some position on.
    fileprivate func firstPosition(where predicate: (Element) -> Bool) -> Int {
        var low = 0, high = count
        while low < high {
            let middle = (low + high) / 2
            if predicate(self[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
