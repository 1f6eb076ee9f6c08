"""Changes of files that are no accident: of bytes, of JSON and text token by token, of protocol buffers and arrays with lengths that fit."""
import copy, io, re, struct, zipfile

NUMBERS = [v + d for p in (0, 7, 8, 15, 16, 31, 32, 40, 62, 63) for v in (1 << p, -(1 << p)) for d in (-1, 0, 1)]
HOSTILE = ["", "\x1b[2J\x1b]0;t\x07", "a\u202eb", "\u0600*/\u0903;", 'x"; system("touch pwned");//', "../../pwned", "%s%n%x", "a\nerror: b", "\x9b31m", "x" * 70000, "*/ #include </etc/passwd>",
           "\\u{0}", "'$(touch pwned)'", "/dev/zero", "n-n", "-9223372036854775808*n", "\U000e0001"]


def number(r): return r.choice(NUMBERS) if r.random() < 0.8 else r.getrandbits(64) - (1 << 63)


def mutate_bytes(r, data, other):
    """Some changes that know nothing of the format; `other` is another seed of the kind."""
    b = bytearray(data)
    for _ in range(1 if r.random() < 0.6 else r.randint(2, 8)):
        if not b: return bytes(other)
        at, kind = r.randrange(len(b)), r.randrange(9)
        if kind <= 1: b[at] ^= 1 << r.randrange(8)
        elif kind == 2: del b[at:len(b) if r.random() < 0.3 else at + r.randint(1, 64)]
        elif kind == 3: start, n = r.randrange(len(b)), r.randint(1, 200); b[at:at] = b[start:start + n]
        elif kind == 4: start, n = r.randrange(len(b)), r.randint(1, 64); b[at:at + n] = b[start:start + n]
        elif kind == 5: cut = r.randrange(len(other) + 1); b[at:] = other[cut:]
        elif kind == 6: size = r.choice([1, 2, 4, 8]); b[at:at + size] = (number(r) & (1 << 8 * size) - 1).to_bytes(size, r.choice(["little", "big"]))
        elif kind == 7: b[at:at + 1] = varint(number(r))
        else: b[at:at] = r.choice(HOSTILE).encode("utf-8", "surrogatepass")
    return bytes(b)


def varint(value):
    value, out = value & (1 << 64) - 1, bytearray()
    while True:
        out.append(value & 127 | (128 if value > 127 else 0)); value >>= 7
        if not value: return bytes(out)


def wire(data, depth=0):
    """The fields of a protocol buffer as [number, type, value], values of messages as such lists; None when it is none."""
    fields, at = [], 0

    def take():
        nonlocal at
        value = shift = 0
        while at < len(data) and shift < 70:
            byte = data[at]; at += 1; value |= (byte & 127) << shift; shift += 7
            if byte < 128: return value
        raise ValueError

    try:
        while at < len(data):
            key = take()
            if key >> 3 == 0 or key >> 3 > 1000: return None
            if key & 7 == 0: fields.append([key >> 3, 0, take()])
            elif key & 7 in (1, 5):
                size = 8 if key & 7 == 1 else 4
                fields.append([key >> 3, key & 7, data[at:at + size]]); at += size
            elif key & 7 == 2:
                n = take(); part = data[at:at + n]; at += n
                if len(part) != n: return None
                inner = wire(part, depth + 1) if depth < 12 and n > 1 and not all(32 <= c < 127 for c in part) else None
                fields.append([key >> 3, 2, inner if inner is not None else bytes(part)])
            else: return None
        return fields
    except (ValueError, IndexError): return None


def unwire(fields):
    out = bytearray()
    for field, kind, value in fields:
        out += varint(field << 3 | kind)
        if kind == 0: out += varint(value)
        elif kind == 2:
            part = unwire(value) if isinstance(value, list) else value
            out += varint(len(part)) + part
        else: out += value
    return bytes(out)


def mutate_wire(r, data, other):
    """Changes of a protocol buffer that keep its lengths right: numbers, strings, fields and whole messages."""
    fields, others = wire(data), wire(other)
    if fields is None or others is None: return mutate_bytes(r, data, other)

    def lists(f): return [f] + [x for field in f if isinstance(field[2], list) for x in lists(field[2])]
    for _ in range(r.choice([1, 1, 1, 2, 4])):
        all_lists = [x for x in lists(fields) if x]
        if not all_lists: break
        where = r.choice(all_lists); i = r.randrange(len(where)); field = where[i]; kind = r.randrange(7)
        if kind == 0: del where[i]
        elif kind == 1: where.insert(r.randrange(len(where) + 1), copy.deepcopy(field))
        elif kind == 2: j = r.randrange(len(where)); where[i], where[j] = where[j], where[i]
        elif kind == 3: where[i] = copy.deepcopy(r.choice(r.choice([x for x in lists(others) if x])))
        elif field[1] == 0: field[2] = number(r)
        elif field[1] == 2 and isinstance(field[2], bytes):
            if r.random() < 0.5: field[2] = r.choice(HOSTILE).encode("utf-8", "surrogatepass")
            elif r.random() < 0.5: field[2] = b"".join(varint(number(r)) for _ in range(r.randint(1, 4)))
            else: field[2] = struct.pack(f"<{(n := r.randint(1, 4))}q", *(max(-(1 << 63), min((1 << 63) - 1, number(r))) for _ in range(n)))
        elif field[1] == 2 and r.random() < 0.3: where[i] = [field[0], 0, number(r)]
    return unwire(fields)


def mutate_text(r, data, other):
    """Changes of JSON or textual IR, token by token."""
    tokens = re.findall(rb'"[^"\n]*"|[A-Za-z_%@$][\w./-]*|-?\d+(?:\.\d+)?|\s+|.', data, re.S)
    more = re.findall(rb'"[^"\n]*"|[A-Za-z_%@$][\w./-]*|-?\d+', other)
    for _ in range(r.choice([1, 1, 2, 4])):
        if not tokens: break
        i, kind = r.randrange(len(tokens)), r.randrange(6)
        numbers = [j for j, t in enumerate(tokens) if t.lstrip(b"-")[:1].isdigit()]
        if kind <= 1 and numbers: tokens[r.choice(numbers)] = r.choice([str(number(r)), "1e999", "-0.0", "1.5", "true", "null", "[]", '"1"', "99999999999999999999999"]).encode()
        elif kind == 2: tokens[i] = b'"' + r.choice(HOSTILE).encode("utf-8", "surrogatepass").replace(b'"', b'\\"') + b'"'
        elif kind == 3: del tokens[i:i + r.randint(1, 4)]
        elif kind == 4: tokens[i] = r.choice(more) if more else b""
        else: j = r.randrange(len(tokens)); tokens.insert(i, tokens[j])
    return b"".join(tokens)


def mutate_npy(r, data, other):
    """A changed header with a length that fits."""
    if r.random() < 0.3 or len(data) < 80: return mutate_bytes(r, data, other)
    n = struct.unpack("<H", data[8:10])[0]
    head = mutate_text(r, data[10:10 + n], other[10:])[:60000]
    return data[:8] + struct.pack("<H", len(head)) + head + data[10 + n:]


def npz(entries, compressed):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED) as archive:
        for name, content in entries: archive.writestr(name, content)
    return out.getvalue()
