import GlmcDriver
