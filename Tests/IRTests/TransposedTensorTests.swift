import Testing

@testable import GlmcIR

/// Transposed tensors, whose elements are copied when somebody asks for their bytes.
@Suite struct TransposedTensorTests {
    private static let values = (0..<24).map { Float($0) * 0.5 }

    @Test func holdTheSameAsACopy() throws {
        let x = Tensor(Self.values, shape: [2, 3, 4])
        for permutation in [[0, 1, 2], [2, 1, 0], [1, 2, 0], [0, 2, 1]] {
            let lazy = x.transposed(permutation), strides = rowMajorStrides(x.shape)
            let copy = try x.strided(permutation.map { x.shape[$0] }, strides: permutation.map { strides[$0] })
            // Before its bytes are made: the sample is read where the elements lie.
            #expect(Set([copy]).contains(lazy))
            #expect(lazy.shape == copy.shape && lazy == copy && lazy.doubles == copy.doubles)
            #expect(lazy.reshaped([24])?.doubles == copy.doubles)
            #expect(lazy.transposed(inverse(permutation)) == x)
        }
    }

    @Test func areNoCopiesOfEachOther() {
        let x = Tensor((0..<600).map { Float($0) }, shape: [20, 30]), y = x.transposed([1, 0])
        #expect(y.stored.storage === x.storage && y.stored.strides == [1, 30])
        #expect(y == x.transposed([1, 0]) && y != x.reshaped([30, 20]))
        // The middle, which no sample looks at, is compared too.
        var other = (0..<600).map { Float($0) }
        other[310] = -1
        #expect(y != Tensor(other, shape: [20, 30]).transposed([1, 0]))
        #expect(Tensor([Float](repeating: 2, count: 6), shape: [2, 3]).transposed([1, 0]).splat == 2 && y.splat == nil)
    }

    private func inverse(_ permutation: [Int]) -> [Int] { permutation.indices.map { permutation.firstIndex(of: $0) ?? 0 } }
}
