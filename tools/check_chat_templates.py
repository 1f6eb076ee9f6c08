#!/usr/bin/env python3
"""Compares glmc's chat templates with jinja2's, set up as transformers sets it up.

    check_chat_templates.py --program RENDER --corpus FOLDER        every *.jinja with a set of conversations
    check_chat_templates.py --program RENDER --fuzz 20000 --seed 1  random small templates
    check_chat_templates.py --program RENDER --cases                the templates of Tests/FrontendTests/chat/cases.json
    check_chat_templates.py --update                                writes what jinja2 makes of these templates into the file

RENDER is what `swift build -c release --package-path tools/chat-render` makes. It reads one JSON object a line,
{"template", "variables"}, and writes one, {"text"} or {"error"}. Needs jinja2. A template that glmc refuses because it does not support something counts as refused, not as different.
"""

import argparse, collections, datetime, functools, json, os, pathlib, random, subprocess, sys, time, warnings

import jinja2, jinja2.ext, jinja2.nodes, jinja2.sandbox

CASES = pathlib.Path(__file__).resolve().parent.parent / "Tests/FrontendTests/chat/cases.json"
NOW = 1_700_000_000


class Generation(jinja2.ext.Extension):
    """{% generation %} marks what the model writes; the text is the block's."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_text"), [], [], body).set_lineno(line)

    def _text(self, caller):
        return caller()


def environment():
    def tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    env = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = lambda text: datetime.datetime.fromtimestamp(NOW).strftime(text)
    return env


ENV = environment()
compiled = functools.lru_cache(maxsize=256)(ENV.from_string)


def expected(case):
    try:
        values = {"tools": None, "documents": None, "messages": [], "add_generation_prompt": False, **case["variables"]}
        # A copy, because filters may change their argument.
        text = compiled(case["template"]).render(**json.loads(json.dumps(values)))
        return {"error": "prints an address"} if " at 0x" in text else {"text": text}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}


def render(program, cases):
    # All on one process, which must outlive every template.
    text = "".join(json.dumps(case) + "\n" for case in cases)
    done = subprocess.run([program], input=text, capture_output=True, text=True)
    if done.returncode:
        lines = done.stdout.count("\n")
        sys.exit(f"the program ended with {done.returncode} at {json.dumps(cases[lines])[:2000]}\n{done.stderr[-2000:]}")
    return [json.loads(line) for line in done.stdout.split("\n") if line]


def compare(program, cases, verbose):
    counts = collections.Counter()
    for case, found in zip(cases, render(program, cases), strict=True):
        right = expected(case)
        if "text" in right and "text" in found:
            kind = "equal" if right["text"] == found["text"] else "DIFFERENT"
        elif "error" in right and "error" in found:
            kind = "both refuse"
        elif "error" in found and ("not supported" in found["error"] or "64 bits" in found["error"]):
            kind = "refused"
        else:
            kind = "ERROR"
        counts[kind] += 1
        if kind.isupper() and counts["DIFFERENT"] + counts["ERROR"] <= verbose or kind == "refused" and counts[kind] <= verbose // 4:
            print(f"--- {kind} {case.get('name', '')}\n{case['template'][:600] if len(case['template']) < 3000 else ''}")
            print("jinja2:", json.dumps(right)[:1500], "\nglmc:  ", json.dumps(found)[:1500])
    print(dict(counts))
    return counts["DIFFERENT"] + counts["ERROR"]


# Conversations

def conversations():
    system, user = {"role": "system", "content": "You are terse."}, {"role": "user", "content": "What is 2+2?"}
    assistant, again = {"role": "assistant", "content": "4"}, {"role": "user", "content": "And 3+3?"}
    call = {"type": "function", "id": "call_123", "function": {"name": "weather", "arguments": {"city": "Köln", "days": 2, "deep": {"a": [1, 2.5, None, True]}}}}
    text_call = {"type": "function", "id": "abcdefghi", "function": {"name": "weather", "arguments": "{\"city\": \"Köln\"}"}}
    tools = [
        {"type": "function", "function": {"name": "weather", "description": "The weather <here> & 'now'", "parameters": {
            "type": "object", "required": ["city"], "properties": {
                "city": {"type": "string", "description": "a city", "enum": ["Köln", "Rome"]}, "days": {"type": ["integer", "null"], "default": 1},
                "deep": {"type": "object", "properties": {"a": {"type": "array", "items": {"type": "number"}}}}}},
            "return": {"type": "string", "description": "a text"}}},
        {"type": "function", "function": {"name": "nothing", "description": "Does nothing", "parameters": {"type": "object", "properties": {}}}},
    ]
    tokens = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}

    def calls(call, content, **more):
        return {"role": "assistant", "content": content, "tool_calls": [call], **more}

    result = {"role": "tool", "content": "{\"temp\": 21}", "name": "weather", "tool_call_id": call["id"]}
    results = {**result, "tool_call_id": text_call["id"]}
    lists = [
        [user], [system, user], [user, assistant, again], [system, user, assistant, again], [system], [], [system, user, assistant],
        [user, user], [assistant, user], [user, system, again], [{**system, "role": "developer"}, user],
        [{"role": "user", "content": "  spaces\t\n\n around \n"}, {"role": "assistant", "content": "\n leading"}, {"role": "user", "content": ""}],
        [{"role": "system", "content": "  \n"}, {"role": "user", "content": "日本語 🎉 e\u0301 \u00a0\u2028<|im_end|> {{ x }} </think>"}],
        [user, {"role": "assistant", "content": "<think>\nlong\nthought\n</think>\n\nshort"}, again],
        [user, {"role": "assistant", "content": "short", "reasoning_content": "some\nthought", "thinking": "a thought"}, again],
        [user, {"role": "assistant", "content": None}, again], [{"role": "user", "content": None}],
        [{"role": "user", "content": [{"type": "text", "text": "one"}, {"type": "image"}, {"type": "text", "text": "two"}]}],
        [{"role": "system", "content": [{"type": "text", "text": "sys"}]}, {"role": "user", "content": [{"type": "text", "text": "hi"}]}],
        [system, user, calls(call, ""), result], [user, calls(call, "Let me see."), result, {"role": "assistant", "content": "21 degrees"}, again],
        [user, calls(call, None), result, result], [user, calls(text_call, None), results, {"role": "assistant", "content": "ok"}],
        [user, calls(call["function"] and {"name": "weather", "arguments": {"city": "Rome"}}, "")],
        [user, calls(call, "", reasoning_content="must call"), {**result, "content": [{"type": "text", "text": "warm"}]}],
        [user, {"role": "assistant", "content": "x", "tool_calls": []}, again], [user, {"role": "assistant", "content": "x", "tool_calls": None}],
        [{"role": "robot", "content": "?"}], [{"role": "user"}],
        [user, calls(call, ""), {"role": "tool", "content": {"temp": 21, "list": [1, "a"]}, "tool_call_id": call["id"], "name": "weather"}],
    ]
    for messages in lists:
        for more in ({}, {"add_generation_prompt": True}, {"add_generation_prompt": True, "tools": tools}):
            yield {"messages": messages, **tokens, **more}
    for more in ({"enable_thinking": False}, {"enable_thinking": True}, {"thinking": True}, {"reasoning_effort": "high"}, {"documents": [{"title": "t", "text": "x", "content": "x", "doc_id": 1}]},
                 {"builtin_tools": ["python"]}, {"custom_tools": tools}, {"date_string": "1 May 2020"}, {"tools_in_user_message": False}, {"xml_tools": [json.dumps(tools[0])]},
                 {"preserve_thinking": True}, {"clear_thinking": False}, {"model_identity": "I am."}):
        for messages in ([system, user, {"role": "assistant", "content": "<think>t</think>a"}, again], [user, calls(call, ""), result]):
            yield {"messages": messages, **tokens, "add_generation_prompt": True, **more}


def corpus(folder):
    for path in sorted(pathlib.Path(folder).glob("*.jinja")):
        for index, variables in enumerate(conversations()):
            yield {"name": f"{path.name} #{index}", "template": path.read_text(), "variables": variables}


# Random templates

class Fuzzer:
    VALUES = {
        "s": "Hello, World", "t": "  ab\tc \n", "u": "éß日🎉ǅ İ", "e": "", "n": None, "i": 7, "z": 0, "m": -3, "f": 2.5, "g": 1e20, "b": True, "c": False,
        "l": [3, 1, 2], "k": ["b", "A", "a", "c"], "x": [], "d": {"a": 1, "b": [1, 2], "items": "own"}, "h": {"k": {"k": "deep"}, "é": None},
        "r": [{"n": "x", "v": 2}, {"n": "y", "v": 1}, {"n": "X", "v": None}], "p": [[1, "a"], [2, "b"]],
    }
    NAMES = list(VALUES) + ["missing"]
    LITERALS = ["0", "1", "-1", "2", "3", "10", "1.5", "0.1", "1e3", "''", "'a'", "'l'", "', '", "'Hello'", "\"it's\"", "'\\n'", "'b c'", "'%s-%s'", "'{}|{}'", "true", "false", "none",
                "[]", "[1, 2]", "['a', 'b']", "{}", "{'a': 1}", "(1, 2)", "()", "'3'", "' 4 '", "'x1'", "range(4)"]
    BINARY = ["+", "-", "*", "/", "//", "%", "~", "==", "!=", "<", "<=", ">", ">=", "in", "not in", "and", "or", "**"]
    FILTERS = ["trim", "upper", "lower", "title", "capitalize", "join", "join(', ')", "length", "list", "items", "dictsort", "first", "last", "reverse", "string", "int", "float", "round",
               "round(1)", "round(2, 'floor')", "sum", "unique", "sort", "sort(reverse=true)", "min", "max", "abs", "safe", "escape", "e", "default('dd')", "d('x', true)", "tojson",
               "tojson(indent=2)", "tojson(sort_keys=true)", "tojson(ensure_ascii=true)", "tojson(separators=(',', ':'))", "replace('l', 'L')", "replace('a', 'bb', 1)", "indent", "indent(2, true)",
               "indent('> ', blank=true)", "map('upper')", "map(attribute='n')", "map(attribute='v', default=0)", "selectattr('v')", "selectattr('v', 'eq', 1)", "rejectattr('n', 'eq', 'x')",
               "select('odd')", "reject('none')", "select", "batch(2)", "slice(2)", "batch(2, 'f')", "truncate(5)", "truncate(6, true, '~', 0)", "wordcount", "center(9)", "sort(attribute='n')",
               "groupby('n')", "map('length')", "sum(attribute='v')", "count", "select('string')", "trim('H d')", "attr('n')", "min(attribute='v')", "format(1, 2)", "map('tojson')"]
    TESTS = ["defined", "undefined", "none", "string", "mapping", "iterable", "sequence", "number", "integer", "float", "boolean", "true", "false", "odd", "even", "divisibleby 2",
             "divisibleby(3)", "equalto(1)", "eq 'a'", "in [1, 'a']", "lower", "upper", "callable", "gt 1", "sameas none", "escaped"]
    METHODS = ["strip()", "lstrip()", "rstrip('d')", "split()", "split(',')", "split('l', 1)", "rsplit('l', 1)", "upper()", "lower()", "title()", "capitalize()", "startswith('H')",
               "endswith(('d', 'c'))", "find('l')", "rfind('l')", "replace('l', '')", "count('l')", "splitlines()", "isdigit()", "isupper()", "islower()", "isalpha()", "isspace()", "join(['1', '2'])",
               "get('a')", "get('q', 5)", "items()", "keys()", "values()", "format(1, 'x')", "ljust(8)", "zfill(6)", "partition('l')", "swapcase()", "index(1)", "count(1)", "append(1)", "foo()",
               "removeprefix('He')", "center(10, '*')", "istitle()", "isalnum()", "copy()", "rpartition(',')"]

    def __init__(self, seed):
        self.random = random.Random(seed)

    def pick(self, items):
        return self.random.choice(items)

    def expression(self, depth):
        kind = self.random.random() if depth > 0 else self.random.random() * 0.2
        e = lambda: self.expression(depth - 1)
        if kind < 0.13: return self.pick(self.NAMES)
        if kind < 0.20: return self.pick(self.LITERALS)
        if kind < 0.42: return f"{e()}|{self.pick(self.FILTERS)}"
        if kind < 0.50: return f"{e()} is {self.pick(['', 'not '])}{self.pick(self.TESTS)}"
        if kind < 0.60: return f"{self.atom(depth)}.{self.pick(self.METHODS)}"
        if kind < 0.63: return f"{self.atom(depth)}.{self.pick(['a', 'b', 'n', 'k', 'items', 'missing', '0', '__class__'])}"
        if kind < 0.68: return f"{self.atom(depth)}[{e()}]"
        if kind < 0.74: return f"{self.pick(self.NAMES)}[{self.bound()}:{self.bound()}{self.pick(['', '', ':-1', ':2', ':', ':-2'])}]"
        if kind < 0.88: return f"{e()} {self.pick(self.BINARY)} {e()}"
        if kind < 0.90: return f"{e()} {self.pick(['<', '<=', '==', '>'])} {e()} {self.pick(['<', '>=', 'in'])} {e()}"
        if kind < 0.92: return f"{self.pick(['not ', '-', '+'])}{e()}"
        if kind < 0.94: return f"({e()} if {e()} else {e()})"
        if kind < 0.95: return f"({e()} if {e()})"
        if kind < 0.97: return f"[{e()}, {e()}]"
        if kind < 0.98: return f"{{'q': {e()}, {e()}: 1}}"
        return f"({e()})"

    def bound(self):
        return self.pick(["", "", "1", "-1", "2", "-2", "0", "10", "-10", "none"])

    def atom(self, depth):
        return self.pick(self.NAMES) if depth <= 1 or self.random.random() < 0.6 else f"({self.expression(depth - 1)})"

    def body(self, depth):
        return "".join(self.statement(depth) for _ in range(self.random.randint(1, 3)))

    def tag(self, text):
        return "{%" + self.pick(["", "", "-", "+"]) + f" {text} " + self.pick(["", "", "-", "+"]) + "%}"

    def statement(self, depth):
        kind = self.random.random() if depth > 0 else self.random.random() * 0.35
        e = lambda: self.expression(2)
        if kind < 0.15: return self.pick(["text", "\n", "  ", " \n  ", "\t", "\n\n x \n", "{# c #}", "  {#- c -#} \n", "{% raw %} {{ x }} {% endraw %}", "\r\n", "a\u00a0 "])
        if kind < 0.35: return "{{" + self.pick(["", "-"]) + f" {e()} " + self.pick(["", "-"]) + "}}"
        if kind < 0.50:
            loop = self.pick(["{{ loop.index }}", "{{ loop.last }}", "{{ loop.nextitem }}", "{{ loop.previtem }}", "{{ loop.length }}", "{{ loop.revindex0 }}", "{{ loop.cycle('o', 'e') }}", "",
                              "{% if loop.index0 == 1 %}{% continue %}{% endif %}", "{% if loop.first %}{% break %}{% endif %}", "{{ loop.changed(v0) }}", "{{ ns.q }}{% set ns.q = loop.index %}"])
            more = self.pick(["", "", f" if {self.expression(1)}", " if v0"])
            other = self.tag("else") + self.body(depth - 1) if self.random.random() < 0.3 else ""
            return self.tag(f"for v0 in {e()}{more}") + "{{ v0 }}" + loop + self.body(depth - 1) + other + self.tag("endfor")
        if kind < 0.65:
            middle = self.tag(f"elif {e()}") + self.body(depth - 1) if self.random.random() < 0.4 else ""
            other = self.tag("else") + self.body(depth - 1) if self.random.random() < 0.4 else ""
            return self.tag(f"if {e()}") + self.body(depth - 1) + middle + other + self.tag("endif")
        name = self.pick(["s", "i", "v1", "l", "q"])
        if kind < 0.75: return self.tag(f"set {name} = {e()}")
        if kind < 0.80: return self.tag(f"set {name}" + self.pick(["", " | upper", " | trim | title"])) + self.body(depth - 1) + self.tag("endset")
        if kind < 0.84: return self.tag(f"set ns = namespace(q={e()})") + "{{ ns.q }}" + self.tag(f"set ns.q = {e()}") + "{{ ns.q }}"
        if kind < 0.91:
            call = self.pick(["{{ mac() }}", f"{{{{ mac({self.expression(1)}) }}}}", f"{{{{ mac(w={self.expression(1)}) }}}}", "{% call mac(1) %}in{{ s }}{% endcall %}", "{{ mac(1, 2, 3) }}"])
            return self.tag(f"macro mac(v, w={self.expression(1)})") + "{{ v }}-{{ w }}" + self.pick(["", "{{ caller() if caller }}", "{{ varargs }}", "{{ kwargs }}"]) + self.body(depth - 1) + self.tag("endmacro") + call
        if kind < 0.94: return self.tag(f"with {name} = {e()}") + self.body(depth - 1) + self.tag("endwith")
        if kind < 0.97: return self.tag("filter " + self.pick(["upper", "indent(2)", "trim|title"])) + self.body(depth - 1) + self.tag("endfilter")
        return self.tag("generation") + self.body(depth - 1) + self.tag("endgeneration")

    def case(self):
        template = "{{ " + self.expression(3) + " }}" if self.random.random() < 0.5 else self.body(3)
        return {"template": template, "variables": self.VALUES}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program")
    parser.add_argument("--corpus")
    parser.add_argument("--fuzz", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cases", action="store_true")
    parser.add_argument("--update", action="store_true")
    parser.add_argument("--verbose", type=int, default=20)
    options = parser.parse_args()
    os.environ["TZ"] = "UTC"
    time.tzset()
    warnings.simplefilter("ignore")
    if options.update:
        cases = [{"name": c["name"], "template": c["template"], "variables": c["variables"], **expected(c)} for c in json.loads(CASES.read_text())]
        CASES.write_text("[\n" + ",\n".join(json.dumps(case, ensure_ascii=False) for case in cases) + "\n]\n")
        return 0
    bad = 0
    if options.cases: bad += compare(options.program, json.loads(CASES.read_text()), options.verbose)
    if options.corpus: bad += compare(options.program, list(corpus(options.corpus)), options.verbose)
    if options.fuzz:
        fuzzer = Fuzzer(options.seed)
        bad += compare(options.program, [fuzzer.case() for _ in range(options.fuzz)], options.verbose)
    return bad > 0


if __name__ == "__main__":
    sys.exit(main())
