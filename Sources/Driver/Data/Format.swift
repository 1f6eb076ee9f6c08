import Foundation

/// printf for one number.
func formatted(_ format: String, _ value: Double) -> String { String(format: format, value) }

/// A size for people: `97.8 MB` (powers of ten).
func bytesText(_ count: Int) -> String {
    let units = ["bytes", "kB", "MB", "GB", "TB"]
    var value = Double(count), unit = 0
    while value >= 1000, unit < units.count - 1 { (value, unit) = (value / 1000, unit + 1) }
    return unit == 0 ? "\(count) bytes" : formatted(value < 10 ? "%.2f" : "%.1f", value) + " " + units[unit]
}

/// What a model's workspace takes: a part that is fixed and, where sizes are free, one that grows with them.
func memoryText(_ fixedBytes: Int, hasFreeSizes: Bool) -> String { bytesText(fixedBytes) + (hasFreeSizes ? " + what the free sizes need" : "") }

/// Left-aligned columns, two blanks apart. What is long is cut, so that one cell does not widen every row; the last cell of a row is not.
func columns(_ rows: [[String]], indent: String = "") -> String {
    let most = 60
    let rows = rows.map { row in
        row.enumerated().map { index, cell in
            let cell = cell.printableOnOneLine
            return index == row.count - 1 || cell.count <= most ? cell : cell.prefix(most - 1) + "…"
        }
    }
    var widths: [Int] = []
    for row in rows {
        for (index, cell) in row.enumerated() {
            if index == widths.count { widths.append(0) }
            widths[index] = max(widths[index], cell.count)
        }
    }
    return rows.map { row in
        let cells = row.enumerated().map { index, cell in index == row.count - 1 ? cell : cell + String(repeating: " ", count: widths[index] - cell.count + 2) }
        let line = indent + cells.joined()
        return String(line.reversed().drop { $0 == " " }.reversed())
    }.joined(separator: "\n")
}

/// Seconds since an arbitrary moment, never going backwards.
func now() -> Double { Double(DispatchTime.now().uptimeNanoseconds) * 1e-9 }

/// The most memory that this process has used so far, in bytes.
func peakMemory() -> Int {
    var usage = rusage()
    #if os(Linux)
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    return usage.ru_maxrss * 1024
    #else
    getrusage(RUSAGE_SELF, &usage)
    return usage.ru_maxrss
    #endif
}
