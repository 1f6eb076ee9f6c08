extension ArtifactCompiler {
    /// `text` as the name of a function in C, other than those that the language and its library have.
    public static func identifier(_ text: String) -> String {
        let name = String(text.unicodeScalars.map { scalar in
            scalar.isASCII && (scalar.properties.isAlphabetic || ("0"..."9").contains(scalar)) ? Character(scalar) : "_"
        })
        let isTaken = name.first.map { $0.isNumber || $0 == "_" } ?? true || name.hasPrefix("glmc_") || reserved.contains(name)
        return isTaken ? "model_" + name : name
    }

    /// Words of C and C++, what compilers predefine, and the functions and variables of the C library and of POSIX.
    private static let reserved: Set<String> = {
        let names = words(mathematics)
        return Set(words(language) + words(library) + words(posix) + names + names.flatMap { [$0 + "f", $0 + "l"] })
    }()

    private static func words(_ text: String) -> [String] { text.split(whereSeparator: \.isWhitespace).map(String.init) }

    private static let language = """
        alignas alignof and asm auto bool break case catch char class compl const constexpr continue default delete do double else enum explicit export
        extern false float for friend goto if inline int linux long main mutable namespace new not nullptr operator or private protected public
        register restrict return short signed sizeof static struct switch template this throw true try typedef typeid typename typeof union unix
        unsigned using virtual void volatile while xor i386 NULL NAN INFINITY EOF
        """

    private static let mathematics = """
        acos acosh asin asinh atan atan2 atanh cbrt ceil copysign cos cosh erf erfc exp exp2 exp10 expm1 fabs fdim floor fma fmax fmin fmod frexp gamma
        hypot ilogb j0 j1 jn ldexp lgamma llrint llround log log10 log1p log2 logb lrint lround modf nan nearbyint nextafter nexttoward pow pow10
        remainder remquo rint round scalbln scalbn significand sin sincos sinh sqrt tan tanh tgamma trunc y0 y1 yn
        """

    private static let library = """
        abort abs aligned_alloc asctime assert atexit atof atoi atol atoll bsearch calloc clearerr clock ctime difftime div errno exit fclose feof ferror
        fflush fgetc fgetpos fgets fopen fprintf fputc fputs fread free freopen fscanf fseek fsetpos ftell fwrite getc getchar getenv gets gmtime
        isalnum isalpha isblank iscntrl isdigit isgraph islower isprint ispunct isspace isupper isxdigit labs ldiv llabs lldiv localeconv localtime
        longjmp malloc mblen mbtowc memchr memcmp memcpy memmove memset mktime offsetof perror printf putc putchar puts qsort quick_exit raise rand
        realloc remove rename rewind scanf setbuf setjmp setlocale setvbuf signal snprintf sprintf srand sscanf stderr stdin stdout strcat strchr
        strcmp strcoll strcpy strcspn strdup strerror strftime strlen strncat strncmp strncpy strpbrk strrchr strspn strstr strtod strtof strtok strtol
        strtold strtoll strtoul strtoull strxfrm system time tmpfile tmpnam tolower toupper ungetc va_arg vfprintf vprintf vscanf vsnprintf vsprintf
        wctomb
        """

    private static let posix = """
        accept access acct alarm bind brk chdir chmod chown chroot clone close closedir connect creat daemon dprintf drand48 dup dup2 encrypt environ
        execl execv execve fcntl ffs fileno fork fsync ftruncate ftw futimes getcwd getline getopt getpid glob iconv index ioctl isatty kill link
        listen lockf lseek mincore mkdir mkstemp mmap mount mprotect munmap nice open opendir optarg optind pause pipe poll popen pread printk ptrace
        pwrite random read readdir readlink reboot recv regcomp rindex rmdir sched_yield select send setenv sleep socket splice srandom stat stime swab
        symlink sync syscall sysconf sysinfo tee tell times truncate ttyname umask umount uname unlink usleep utime vfork wait waitpid write
        """
}
