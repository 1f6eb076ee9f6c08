import Foundation
import Testing

/// Every number of the files under `cases/` replaced by extremes, one at a time: what reads and rewrites the text refuses them or goes on, and
/// never traps, which would end the tests. A part of the numbers is tried, and all with `GLMC_NUMBER_SWEEP`.
@Test func extremeNumbersInFiles() throws {
    let extremes = ["0", "-1", "3", "2147483648", "4611686018427387904", "-4611686018427387904", "9223372036854775807", "-9223372036854775808"]
    let step = ProcessInfo.processInfo.environment["GLMC_NUMBER_SWEEP"] == nil ? 7 : 1
    var number = 0
    for path in FileCase.all {
        let test = try FileCase(path)
        // Interpreting takes as long as the sizes say.
        guard test.mode.first != "run" else { continue }
        for range in try test.numbers {
            for extreme in extremes {
                number += 1
                if number % step == 0 { #expect(!test.run(test.source.replacingCharacters(in: range, with: extreme)).isEmpty) }
            }
        }
    }
    #expect(number > 1000)
}

extension FileCase {
    /// Where the source has integers that are no part of a name or of a fraction.
    fileprivate var numbers: [Range<String.Index>] {
        get throws {
            let pattern = try NSRegularExpression(pattern: #"(?<![\w%.])-?\d+(?![\w.])"#)
            return pattern.matches(in: source, range: NSRange(source.startIndex..., in: source)).compactMap { Range($0.range, in: source) }
        }
    }
}
