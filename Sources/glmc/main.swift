import Foundation
import GlmcDriver

exit(Glmc.run(Array(CommandLine.arguments.dropFirst())))
