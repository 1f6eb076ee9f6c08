"""The files that artifacts are, which are checked before they are loaded."""
import ctypes as c
import mmap
import os
import stat
import struct
import zlib

from ._abi import GlmcError


def check_file(path, is_sound):
    """Only regular files are loaded (others wait, never end, or do something when opened), and only if `is_sound` finds their bytes unchanged."""
    try:
        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode):
            raise GlmcError(1, f"'{path}' is not a regular file")
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as whole:
            with memoryview(whole) as bytes:
                sound = is_sound(bytes)
    except ValueError:  # an empty file cannot be mapped
        sound = False
    except OSError as problem:
        raise GlmcError(1, f"'{path}' cannot be read: {problem.strerror}") from None
    if not sound:
        raise GlmcError(1, f"'{path}' is damaged or incomplete: its bytes are not those that were compiled; compile the model again")


def trailer_is_there(bytes):
    return len(bytes) >= 24 and bytes[-24:-16] == b"GLMC_CRC" and bytes[-8:] == b"GLMC_CRC"


def trailer_holds(bytes):
    """As in glmc_checksum.h: "GLMC_CRC", the CRC-32 of everything before it, the low 32 bits of their number, "GLMC_CRC"."""
    if not trailer_is_there(bytes):
        return False
    content = bytes[:-24]
    return struct.unpack("<II", bytes[-16:-8]) == (zlib.crc32(content), len(content) & 0xFFFFFFFF)


def library_is_sound(bytes):
    """Its checksum holds; or it has none (another tool made or rewrote it) and ends exactly where its headers say."""
    if trailer_is_there(bytes):
        return trailer_holds(bytes)
    if bytes[:6] != b"\x7fELF\x02\x01":
        return True  # left to the loader
    if len(bytes) < 64:
        return False
    (programs, sections), end = struct.unpack_from("<QQ", bytes, 32), 64
    program_size, program_count, section_size, section_count = struct.unpack_from("<HHHH", bytes, 54)
    for table, size, count, least, kind in ((programs, program_size, program_count, 56, 0), (sections, section_size, section_count, 64, 1)):
        if count and (size < least or table + size * count > len(bytes)):
            return False
        end = max(end, table + size * count if count else 0)
        for at in range(table, table + size * count, size or 1):
            if kind and struct.unpack_from("<I", bytes, at + 4)[0] == 8:
                continue  # takes no room
            offset, = struct.unpack_from("<Q", bytes, at + (24 if kind else 8))
            length, = struct.unpack_from("<Q", bytes, at + 32)
            if offset + length > len(bytes):
                return False
            end = max(end, offset + length if length else 0)
    return end == len(bytes)


loaded = {}


def load_library(path):
    """The library that the file at `path` is. The loader takes a library of the same name for the same file; one that replaced another by renaming
    is told from it by another spelling of its path."""
    status = os.stat(path)
    identity = (status.st_dev, status.st_ino)
    while loaded.setdefault(path, identity) != identity:
        path = "/" + path
    return c.CDLL(path)


