/// A set of Unicode scalar values, as ascending ranges that neither touch nor overlap.
struct CodePointSet: Hashable, Sendable {
    private(set) var ranges: [ClosedRange<UInt32>] = []

    static let all = CodePointSet([0...0x10ffff])

    init(_ ranges: [ClosedRange<UInt32>]) {
        for range in ranges.sorted(by: { $0.lowerBound < $1.lowerBound }) {
            if let last = self.ranges.last, range.lowerBound <= last.upperBound + 1 {
                self.ranges[self.ranges.count - 1] = last.lowerBound...max(last.upperBound, range.upperBound)
            } else {
                self.ranges.append(range)
            }
        }
    }

    init(_ points: UInt32...) { self.init(points.map { $0...$0 }) }

    var inverted: CodePointSet {
        var gaps: [ClosedRange<UInt32>] = []
        var next: UInt32 = 0
        for range in ranges {
            if range.lowerBound > next { gaps.append(next...range.lowerBound - 1) }
            next = range.upperBound + 1
        }
        if next <= 0x10ffff { gaps.append(next...0x10ffff) }
        return CodePointSet(gaps)
    }

    func union(_ other: CodePointSet) -> CodePointSet { CodePointSet(ranges + other.ranges) }
    func intersection(_ other: CodePointSet) -> CodePointSet { inverted.union(other.inverted).inverted }
    func contains(_ point: UInt32) -> Bool { ranges.contains { $0.contains(point) } }
}

/// Properties of code points as Hugging Face's tokenizers sees them.
enum UnicodeData {
    /// The set of that name, nil where there is none.
    static func set(_ name: String) -> CodePointSet? { sets[name] }

    /// A general category (`Lu`), the union of those that begin with its one letter (`L`), or a property or script by its name, as `\p{...}` means them.
    static func property(_ name: String) -> CodePointSet? {
        let name = ["Han": "Han", "letter": "L", "Letter": "L", "Number": "N", "Punctuation": "P", "Symbol": "S", "Mark": "M"][name] ?? name
        if let set = sets[name], name.first?.isUppercase == true { return set }
        let parts = sets.filter { $0.key.utf8.count == 2 && $0.key.first?.isUppercase == true && String($0.key.prefix(1)) == name }
        return parts.isEmpty ? nil : parts.values.reduce(CodePointSet([])) { $0.union($1) }
    }

    static let lowercase = map("lowercase")
    static let canonical = map("canonical")
    /// What compatibility decomposition changes; where it has nothing, the canonical one holds.
    static let compatible = map("compatible")
    static let classes: [(point: UInt32, value: UInt32)] = entries(UnicodeText.classes).map { ($0.key, $0.values[0]) }
    static let pairs: [(left: UInt32, right: UInt32, composed: UInt32)] = entries(UnicodeText.pairs).map { ($0.key, $0.values[0], $0.values[1]) }
    /// All code points that are the same letter as the key when case is ignored, the key among them.
    static let folds: [UInt32: [UInt32]] = {
        var folds: [UInt32: [UInt32]] = [:]
        for entry in entries(UnicodeText.folds) {
            let letters = [entry.key] + entry.values
            for letter in letters { folds[letter] = letters }
        }
        return folds
    }()

    private static let sets: [String: CodePointSet] = UnicodeText.sets.mapValues { text in
        var end: UInt32 = 0
        return CodePointSet(numbers(text).map { part in
            let first = end + part[0]
            end = first + (part.count > 1 ? part[1] : 0)
            return first...end
        })
    }

    private static func map(_ name: String) -> [(point: UInt32, text: [UInt32])] { UnicodeText.maps[name].map { entries($0).map { ($0.key, $0.values) } } ?? [] }

    private static func entries(_ text: StaticString) -> [(key: UInt32, values: [UInt32])] {
        numbers(text).map { ($0[0], Array($0[1...])) }
    }

    /// Groups of hexadecimal numbers: a space ends a group, any other character a number.
    private static func numbers(_ text: StaticString) -> [[UInt32]] {
        var groups: [[UInt32]] = []
        var group: [UInt32] = []
        var number: UInt32 = 0
        text.withUTF8Buffer { bytes in
            for byte in bytes {
                switch byte {
                case UInt8(ascii: "0")...UInt8(ascii: "9"): number = number << 4 | UInt32(byte - UInt8(ascii: "0"))
                case UInt8(ascii: "a")...UInt8(ascii: "f"): number = number << 4 | UInt32(byte - UInt8(ascii: "a") + 10)
                default:
                    group.append(number)
                    number = 0
                    if byte == UInt8(ascii: " ") {
                        groups.append(group)
                        group = []
                    }
                }
            }
        }
        group.append(number)
        groups.append(group)
        return groups
    }
}
