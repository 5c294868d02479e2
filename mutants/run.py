#!/usr/bin/env python3
"""Mutation testing of the pure layers (domain, control): which small changes of the code does no test notice?

    ./dev mutants [FILE...]      files or folders below src/; all of domain and control if none are named

cargo-mutants lists the mutants. All of them are written into one copy of the pure layers (main.rs beside this file says
how), which is built once with its unit tests and the tests of rules, properties and worlds. Each mutant is then switched
on in turn and the tests are run until one fails. Those that survive are held against explained.toml: what stands there
with its reason is known; anything else is a gap, and the run fails.

What was found is appended to target/mutants/outcomes.tsv as it goes, so that a run can be broken off and taken up again.
"""

import json, os, re, shutil, subprocess, sys, time, tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORK = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "mutants"
CRATE = WORK / "crate"
# As it was when the run began: who works on meanwhile changes nothing.
SNAPSHOT = WORK / "snapshot"
PURE = ["domain", "wire", "control"]
# Of the integration tests those that need nothing but the pure layers.
TESTS = ["asked", "worlds", "vectors", "time_zones", "properties", "wire_properties", "world"]
# And of the simulated site what those stand on: the naive rules, the simulated world.
SIM = ["naive.rs", "world", "until_told.rs", "central/digest.rs"]
FIRST = 900_000
MARK = r"\b9\d{5}(?=u32)"
# A mutant that makes a test run for ever is noticed by this, in times of what all tests take.
PATIENCE = 5


def say(text):
    print(f"mutants: {text}", file=sys.stderr, flush=True)


def listed(files):
    """What cargo-mutants would do, in its order."""
    wanted = files or ["src/domain", "src/control"]
    globs = [arg for f in wanted for arg in ("-f", f if f.endswith(".rs") else f"{f.rstrip('/')}/**")]
    command = ["cargo", "mutants", "--list", "--json", "-d", str(ROOT), *globs]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def name(mutant):
    """Without the line, which every edit above it changes."""
    return re.sub(r"^([^:]+):\d+:\d+: ", r"\1: ", mutant["name"])


def key(mutants, number):
    """A number may be another mutant's tomorrow: by its name, with which of its namesakes it is."""
    if "key" not in mutants[0]:
        counts = {}
        for mutant in mutants:
            counts[name(mutant)] = counts.get(name(mutant), 0) + 1
            mutant["key"] = f"{name(mutant)} #{counts[name(mutant)]}"
    return mutants[number - FIRST]["key"]


def take_snapshot():
    shutil.rmtree(SNAPSHOT, ignore_errors=True)
    for folder in [*(f"src/{layer}" for layer in PURE), "tests", "hardware-sim/src"]:
        shutil.copytree(ROOT / folder, SNAPSHOT / folder)
    for file in ["Cargo.toml", "Cargo.lock", "hardware-sim/Cargo.toml"]:
        shutil.copy(ROOT / file, SNAPSHOT / file)


def copy_sources():
    """The pure layers as a crate of their own."""
    for folder in ["src", "tests", "hardware-sim/src"]:
        shutil.rmtree(CRATE / folder, ignore_errors=True)
    for layer in PURE:
        shutil.copytree(SNAPSHOT / "src" / layer, CRATE / "src" / layer)
    (CRATE / "src/lib.rs").write_text(
        "//! The pure layers, with their mutants.\n#![allow(warnings)]\n"
        + "".join(f"pub mod {layer};\n" for layer in [*PURE, "mutants"])
    )
    (CRATE / "src/mutants.rs").write_text(
        "//! Which mutant is switched on.\n"
        "static ACTIVE: std::sync::LazyLock<u32> = std::sync::LazyLock::new(|| "
        'std::env::var("LATCHD_MUTANT").ok().and_then(|n| n.parse().ok()).unwrap_or(0));\n'
        "pub fn active() -> u32 { *ACTIVE }\n"
    )
    for path in [p for test in TESTS for p in [test, f"{test}.rs"] if (SNAPSHOT / "tests" / p).exists()]:
        place(SNAPSHOT / "tests", path, CRATE / "tests")
    modules = "".join(f"mod {test};\n" for test in TESTS)
    (CRATE / "tests/main.rs").write_text(f"//! The tests that need no site.\n#![allow(warnings)]\n{modules}")
    for path in SIM:
        place(SNAPSHOT / "hardware-sim/src", path, CRATE / "hardware-sim/src")
    (CRATE / "hardware-sim/src/lib.rs").write_text(
        "#![allow(warnings)]\npub mod central { pub mod digest; }\npub mod naive;\npub mod until_told;\npub mod world;\n"
    )


def place(root, path, target):
    target = target / path
    target.parent.mkdir(parents=True, exist_ok=True)
    source = root / path
    shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)


def write_manifests():
    """The dependencies that the copied text names, as the workspace has them."""
    shared = tomllib.loads((SNAPSHOT / "Cargo.toml").read_text())["workspace"]["dependencies"]
    lines = ["[workspace]", "[package]", 'name = "latchd"', 'version = "0.0.0"', 'edition = "2024"', "autotests = false"]
    lines += ["[[test]]", 'name = "it"', 'path = "tests/main.rs"']
    lines += dependencies(SNAPSHOT / "Cargo.toml", [CRATE / "src", CRATE / "tests"], shared)
    lines += ["[profile.dev]", "opt-level = 1", "debug = false", "incremental = false"]
    (CRATE / "Cargo.toml").write_text("\n".join(lines) + "\n")
    lines = ["[package]", 'name = "hardware-sim"', 'version = "0.0.0"', 'edition = "2024"']
    lines += dependencies(SNAPSHOT / "hardware-sim/Cargo.toml", [CRATE / "hardware-sim/src"], shared)
    (CRATE / "hardware-sim/Cargo.toml").write_text("\n".join(lines) + "\n")
    shutil.copy(SNAPSHOT / "Cargo.lock", CRATE / "Cargo.lock")


def dependencies(manifest, folders, shared):
    manifest = tomllib.loads(manifest.read_text())
    text = "".join(p.read_text() for folder in folders for p in folder.rglob("*.rs"))
    for table in ["dependencies", "dev-dependencies"]:
        yield f"[{table}]"
        for dependency, value in manifest[table].items():
            if dependency in manifest["dependencies"] and table != "dependencies":
                continue
            if not re.search(rf"\b{dependency.replace('-', '_')}\b(::|;)", text):
                continue
            if isinstance(value, dict) and value.get("workspace"):
                common = shared[dependency]
                common = dict(common) if isinstance(common, dict) else {"version": common}
                value = common | {"features": common.get("features", []) + value.get("features", [])}
            yield f"{json.dumps(dependency)} = {inline(value)}"


def inline(value):
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(k)} = {inline(v)}" for k, v in value.items()) + " }"
    return json.dumps(value)


def insert(tool, skipped):
    (WORK / "skipped").write_text("\n".join(map(str, sorted(skipped))))
    command = [tool, str(WORK / "list.json"), str(SNAPSHOT), str(CRATE), str(WORK / "skipped")]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return {int(n): outcome for n, outcome, _ in (line.split(" ", 2) for line in out.splitlines())}


def cargo(*arguments):
    command = ["cargo", *arguments, "--message-format=json", "--target-dir", str(WORK / "target")]
    run = subprocess.run(command, cwd=CRATE, capture_output=True, text=True)
    messages = [json.loads(line) for line in run.stdout.splitlines() if line.startswith("{")]
    return run, messages


def rendered(messages):
    errors = [m["message"] for m in messages if m.get("reason") == "compiler-message"]
    return "".join(error["rendered"] for error in errors if error["level"] == "error")[:5000]


def not_compiling(messages):
    """The numbers of the mutants that the compiler's errors are about."""
    found = set()
    for message in messages:
        error = message.get("message", {})
        if message.get("reason") != "compiler-message" or error.get("level") != "error":
            continue
        spans = sorted(error["spans"], key=lambda span: not span["is_primary"])
        # E0004: an arm less, and the match does not cover all there is. It is said of the match's first line.
        by = arms if (error.get("code") or {}).get("code") == "E0004" else nearest
        found.update(next((n for n in map(by, spans) if n), []))
    return found


def arms(span):
    """The arms of a match that mutants delete."""
    lines = (CRATE / span["file_name"]).read_text().splitlines()[span["line_start"] - 1 :]
    indent = len(lines[0]) - len(lines[0].lstrip())
    end = next((n for n, line in enumerate(lines) if n and line[: indent + 1].strip() == "}"), len(lines))
    return [int(n) for n in re.findall(r"active\(\) != (9\d{5})u32", "\n".join(lines[:end]))]


def nearest(span):
    """The mutants on the lines of an error, else those of the nearest line before it in the same function."""
    path = CRATE / span["file_name"]
    lines = path.read_text().splitlines() if path.exists() else []
    numbers = re.findall(MARK, "\n".join(lines[span["line_start"] - 1 : span["line_end"]]))
    for line in reversed(lines[: span["line_start"] - 1]):
        if numbers or re.match(r"\s*(pub(\(.*?\))? )?fn ", line):
            break
        numbers = re.findall(MARK, line)
    return [int(n) for n in numbers]


def built(tool, mutants, known):
    """The test programs with as many mutants as compile, and what became of each mutant."""
    # One type of iterator for two.
    opaque = {FIRST + n for n, m in enumerate(mutants)
              if m["genre"] == "FnValue" and "impl " in m["function"]["return_type"]}
    skipped = opaque | known
    for _ in range(40):
        copy_sources()
        outcomes = insert(tool, skipped)
        run, messages = cargo("check", "--tests")
        if run.returncode == 0:
            break
        found = not_compiling(messages) - skipped
        if not found:
            sys.exit("mutants: the copy does not compile:\n" + rendered(messages))
        say(f"{len(found)} more mutants do not compile")
        (WORK / "skipped.log").open("a").writelines(f"{key(mutants, n)}\n" for n in found)
        skipped |= found
    else:
        sys.exit("mutants: there is no end of mutants that do not compile")
    outcomes.update(dict.fromkeys(skipped, "does_not_compile"))
    say("building")
    run, messages = cargo("test", "--no-run")
    if run.returncode:
        sys.exit("mutants: the copy does not build:\n" + rendered(messages))
    programs = {}
    for message in messages:
        if message.get("executable") and message.get("profile", {}).get("test"):
            kept = WORK / f"tests-{message['target']['name']}"
            shutil.copy(message["executable"], kept)
            programs[message["target"]["name"]] = kept
    return [programs["latchd"], programs["it"]], outcomes


def tested(program, number, limit, *filters):
    """Whether all tests pass with this mutant: True, False, or None when they did not end."""
    environment = dict(os.environ, LATCHD_MUTANT=str(number), RUST_BACKTRACE="0", INSTA_UPDATE="no", PROPTEST_MAX_SHRINK_ITERS="0",
                       LATCHD_WORLDS="1")  # those that are always the same are enough
    command = ["nice", "-n", "19", str(program), "-q", *filters]
    try:
        run = subprocess.run(command, cwd=CRATE, env=environment, timeout=limit,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        return None
    return run.returncode == 0


def judged(programs, mutant, number, limits):
    """Its own module's tests first: they are the likeliest to notice."""
    module = mutant["file"].removeprefix("src/").removesuffix(".rs").removesuffix("/mod").replace("/", "::")
    steps = [(programs[0], [f"{module}::"]), (programs[0], []), (programs[1], [])]
    for (program, filters), limit in zip(steps, [limits[0], *limits]):
        passed = tested(program, number, limit, *filters)
        if passed is not True:
            return "caught" if passed is False else "timeout"
    return "survived"


def main():
    files = [f if f.startswith("src/") else f"src/{f}" for f in sys.argv[1:]]
    WORK.mkdir(parents=True, exist_ok=True)
    CRATE.mkdir(exist_ok=True)
    mutants = listed(files)
    take_snapshot()
    (WORK / "list.json").write_text(json.dumps(mutants))
    say(f"{len(mutants)} mutants")
    subprocess.run(["cargo", "build", "-q", "-p", "latchd-mutants"], cwd=ROOT, check=True)
    tool = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug/latchd-mutants"
    copy_sources()
    write_manifests()
    path = WORK / "skipped.log"
    names = set(path.read_text().splitlines()) if path.exists() else set()
    known = {FIRST + n for n in range(len(mutants)) if key(mutants, FIRST + n) in names}
    programs, outcomes = built(str(tool), mutants, known)
    limits = []
    for program in programs:
        start = time.monotonic()
        if not tested(program, 0, 3600):
            sys.exit(f"mutants: {program.name} fails without any mutant")
        limits.append(max(30, PATIENCE * (time.monotonic() - start)))
    say(f"all tests take {sum(limits) / PATIENCE:.0f} s at most")
    run(mutants, programs, outcomes, limits)


def run(mutants, programs, outcomes, limits):
    path = WORK / "outcomes.tsv"
    done = dict(line.split("\t") for line in path.read_text().splitlines()) if path.exists() else {}
    keys = [key(mutants, FIRST + place) for place in range(len(mutants))]
    start, tried = time.monotonic(), 0
    with path.open("a") as log:
        for place, (mutant, own) in enumerate(zip(mutants, keys)):
            number = FIRST + place
            if done.get(own) not in (None, "survived"):
                continue
            outcome = outcomes.get(number, "not_found")
            if outcome == "written":
                outcome = judged(programs, mutant, number, limits)
                tried += 1
            done[own] = outcome
            log.write(f"{own}\t{outcome}\n")
            log.flush()
            if outcome == "survived":
                say(f"survived: {mutant['name']}")
            if tried and tried % 50 == 0:
                say(f"{place + 1} of {len(mutants)}, {(time.monotonic() - start) / tried:.1f} s a mutant")
    report({own: done[own] for own in keys})


def report(outcomes):
    explained = tomllib.loads((ROOT / "mutants/explained.toml").read_text())
    reasons = {m: entry["why"] for entry in explained.get("explained", []) for m in entry["mutants"]}
    tally = {}
    open_ones = []
    for key, outcome in outcomes.items():
        if outcome == "survived" and (key in reasons or key.rsplit(" #", 1)[0] in reasons):
            outcome = "explained"
        elif outcome == "survived":
            open_ones.append(key)
        tally[outcome] = tally.get(outcome, 0) + 1
    print(", ".join(f"{count} {outcome}" for outcome, count in sorted(tally.items())))
    for key in open_ones:
        print(f"survived: {key}")
    sys.exit(1 if open_ones else 0)


if __name__ == "__main__":
    main()
