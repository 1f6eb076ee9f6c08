/// Constant data of an artifact that comes from a file: it is never written as C.
enum BinarySection {
    /// Assembler text that makes a file a read-only section.
    /// - Parameters:
    ///   - symbol: the hidden symbol of its beginning, aligned to 64 bytes.
    ///   - part: which bytes of the file; nil: all.
    static func assembly(_ symbol: String, file: String, part: Range<Int>? = nil) -> String {
        """
            .section .rodata.\(symbol),"a"
            .balign 64
            .globl \(symbol)
            .hidden \(symbol)
            .type \(symbol), %object
        \(symbol):
            .incbin \(ForeignText.literal(file))\(part.map { ", \($0.lowerBound), \($0.count)" } ?? "")
            .size \(symbol), .-\(symbol)
            .section .note.GNU-stack,"",%progbits

        """
    }
}
