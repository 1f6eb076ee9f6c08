/* glmc_checksum.h: whether a shared library still holds the bytes that glmc wrote. Loading a damaged library runs damaged code, so loaders ask first.
 *
 * A library ends in a checksum trailer of 24 bytes, which the system's loader ignores: "GLMC_CRC", the CRC-32 (zlib's) of everything before it, the low 32 bits of
 * their number (both little-endian), "GLMC_CRC". A CRC-32 differs for any two contents of one length whose differences lie within 32 bits, so no flipped
 * bit escapes. It finds damage, not forgery. */
#ifndef GLMC_CHECKSUM_H
#define GLMC_CHECKSUM_H

#include <stdint.h>
#include <string.h>

#define GLMC_TRAILER_BYTES 24

/* The CRC-32 of zlib, gzip and PNG, eight bytes at a time: of what `crc` is of (0: of nothing) with more bytes behind it. */
static inline uint32_t glmc_crc_continued(uint32_t crc, const uint8_t *bytes, uint64_t count) {
    uint32_t table[8][256];
    crc = ~crc;
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t value = i;
        for (int bit = 0; bit < 8; bit++) value = value >> 1 ^ (value & 1 ? 0xedb88320u : 0);
        table[0][i] = value;
    }
    for (int row = 1; row < 8; row++)
        for (int i = 0; i < 256; i++) table[row][i] = table[row - 1][i] >> 8 ^ table[0][table[row - 1][i] & 255];
    for (; count >= 8; count -= 8, bytes += 8) {
        crc ^= (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
        crc = table[7][crc & 255] ^ table[6][crc >> 8 & 255] ^ table[5][crc >> 16 & 255] ^ table[4][crc >> 24] ^ table[3][bytes[4]] ^ table[2][bytes[5]] ^ table[1][bytes[6]] ^ table[0][bytes[7]];
    }
    for (; count > 0; count--) crc = crc >> 8 ^ table[0][(crc ^ *bytes++) & 255];
    return ~crc;
}

static inline uint32_t glmc_crc(const uint8_t *bytes, uint64_t count) { return glmc_crc_continued(0, bytes, count); }

static inline uint64_t glmc_little_endian(const uint8_t *bytes, int count) {
    uint64_t value = 0;
    while (count > 0) value = value << 8 | bytes[--count];
    return value;
}

/* Writes the trailer of `count` bytes with the CRC-32 `crc`, to be put behind them. */
static inline void glmc_trailer_write(uint32_t crc, uint64_t count, uint8_t trailer[GLMC_TRAILER_BYTES]) {
    uint64_t value = (count & 0xffffffffu) << 32 | crc;
    memcpy(trailer, "GLMC_CRC", 8);
    for (int i = 0; i < 8; i++) trailer[8 + i] = (uint8_t)(value >> 8 * i);
    memcpy(trailer + 16, "GLMC_CRC", 8);
}

static inline void glmc_trailer_make(const uint8_t *bytes, uint64_t count, uint8_t trailer[GLMC_TRAILER_BYTES]) { glmc_trailer_write(glmc_crc(bytes, count), count, trailer); }

/* Whether an ELF file of `count` bytes ends exactly where the last of what its headers name ends; other formats are left to the loader, except that nothing is none. */
static inline int glmc_library_is_complete(const uint8_t *bytes, uint64_t count) {
    if (count < 6 || memcmp(bytes, "\177ELF\002\001", 6) != 0) return count > 0;
    if (count < 64) return 0;
    uint64_t tables[2] = {glmc_little_endian(bytes + 32, 8), glmc_little_endian(bytes + 40, 8)}, end = 64;
    uint64_t sizes[2] = {glmc_little_endian(bytes + 54, 2), glmc_little_endian(bytes + 58, 2)};
    uint64_t counts[2] = {glmc_little_endian(bytes + 56, 2), glmc_little_endian(bytes + 60, 2)};
    for (int kind = 0; kind < 2; kind++) {
        uint64_t least = kind ? 64 : 56, total = sizes[kind] * counts[kind];
        if (counts[kind] && (sizes[kind] < least || tables[kind] > count || total > count - tables[kind])) return 0;
        if (counts[kind] && tables[kind] + total > end) end = tables[kind] + total;
        for (uint64_t i = 0; i < counts[kind]; i++) {
            const uint8_t *header = bytes + tables[kind] + i * sizes[kind];
            uint64_t at = glmc_little_endian(header + (kind ? 24 : 8), 8), size = glmc_little_endian(header + 32, 8);
            if (kind && glmc_little_endian(header + 4, 4) == 8) continue; /* SHT_NOBITS takes no room */
            if (at > count || size > count - at) return 0;
            if (size && at + size > end) end = at + size;
        }
    }
    return end == count;
}

/* Whether the last bytes are a trailer, right or wrong. */
static inline int glmc_trailer_is_there(const uint8_t *bytes, uint64_t count) {
    return count >= GLMC_TRAILER_BYTES && memcmp(bytes + count - GLMC_TRAILER_BYTES, "GLMC_CRC", 8) == 0 && memcmp(bytes + count - 8, "GLMC_CRC", 8) == 0;
}

/* Whether the last bytes are the checksum of those before: what is asked of a file of external weights. */
static inline int glmc_trailer_holds(const uint8_t *bytes, uint64_t count) {
    uint8_t trailer[GLMC_TRAILER_BYTES];
    if (!glmc_trailer_is_there(bytes, count)) return 0;
    glmc_trailer_make(bytes, count - GLMC_TRAILER_BYTES, trailer);
    return memcmp(bytes + count - GLMC_TRAILER_BYTES, trailer, GLMC_TRAILER_BYTES) == 0;
}

/* What is asked of a library: its checksum holds. One without a checksum (another tool made or rewrote it) must be complete, with nothing behind it. */
static inline int glmc_library_is_whole(const uint8_t *bytes, uint64_t count) {
    return glmc_trailer_is_there(bytes, count) ? glmc_trailer_holds(bytes, count) : glmc_library_is_complete(bytes, count);
}

#endif
