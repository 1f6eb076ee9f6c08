import Foundation
import GlmcDriver
import GlmcPasses
import LogSumExp

// The whole compiler, with one pass more.
var library = PassLibrary.standard
library.add(.fuseLogSumExp, after: "recognize-softmax", from: .o1)
exit(Glmc.run(Array(CommandLine.arguments.dropFirst()), passLibrary: library))
