"""What the programs are made of: a CycloneDX bill of materials, and the notices that the licences ask for.

usage: bill_of_materials.py TARGET-TRIPLE FOLDER     writes sbom.cdx.json and third-party.txt

From `cargo metadata`, as Cargo.lock has it: what is linked into latchd and latchctl for that target, and what only builds it
(procedural macros, "excluded"). Nothing in it depends on when or where it is made but SOURCE_DATE_EPOCH, the commit's date.
"""

import datetime
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import tomllib
import uuid

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = "latchd"
NOTICES = re.compile(r"(licen[cs]e|copying|copyright|notice|unlicense)", re.IGNORECASE)


def metadata(triple):
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--filter-platform", triple]
    return json.loads(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout)


def linked(graph, by_id):
    """The packages that `latchd` needs to run or to be compiled, each with its own needs, by id. Those of build scripts and tests are
    none: they leave nothing in the program."""
    nodes = {node["id"]: node for node in graph["resolve"]["nodes"]}
    start = next(id for id in graph["workspace_members"] if by_id[id]["name"] == PROGRAM)
    needs, waiting = {}, [start]
    while waiting:
        id = waiting.pop()
        if id in needs:
            continue
        normal = [d["pkg"] for d in nodes[id]["deps"] if any(k["kind"] is None for k in d["dep_kinds"])]
        needs[id] = sorted(normal)
        waiting.extend(normal)
    return start, needs


def only_builds(start, needs, by_id):
    """Procedural macros, and what only they need: they run while it is compiled."""
    def is_macro(id):
        return any("proc-macro" in target["kind"] for target in by_id[id]["targets"])
    kept, waiting = set(), [start]
    while waiting:
        id = waiting.pop()
        if id not in kept and not is_macro(id):
            kept.add(id)
            waiting.extend(needs[id])
    return set(needs) - kept


def expression(package):
    """Its licence as SPDX writes it; older crates have a slash for OR."""
    text = package["license"] or sys.exit(f"{package['name']} names no licence")
    return re.sub(r"\s*/\s*", " OR ", text)


def purl(package):
    return f"pkg:cargo/{package['name']}@{package['version']}"


def component(package, checksum, scope):
    made = {"type": "library", "bom-ref": purl(package), "name": package["name"], "version": package["version"], "scope": scope}
    if checksum:
        made["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    made["licenses"] = [{"expression": expression(package)}]
    made["purl"] = purl(package)
    if re.match(r"https?://", package["repository"] or ""):
        made["externalReferences"] = [{"type": "vcs", "url": package["repository"]}]
    return made


def rust():
    version = subprocess.run(["rustc", "--version"], check=True, stdout=subprocess.PIPE, text=True).stdout.split()[1]
    return {
        "type": "library", "bom-ref": f"rust-std@{version}", "name": "rust-std", "version": version, "scope": "required",
        "description": "Rust's standard library, linked in", "licenses": [{"expression": "MIT OR Apache-2.0"}],
    }


def bill(triple, graph):
    by_id = {package["id"]: package for package in graph["packages"]}
    start, needs = linked(graph, by_id)
    builds = only_builds(start, needs, by_id)
    lock = tomllib.loads((ROOT / "Cargo.lock").read_text())
    checksums = {(p["name"], p["version"]): p.get("checksum") for p in lock["package"]}
    others = sorted((id for id in needs if id != start), key=lambda id: purl(by_id[id]))
    program, std = by_id[start], rust()
    components = [
        component(by_id[id], checksums.get((by_id[id]["name"], by_id[id]["version"])), "excluded" if id in builds else "required")
        for id in others
    ]
    own = {
        "type": "application", "bom-ref": purl(program), "name": PROGRAM, "version": program["version"],
        "description": program["description"], "licenses": [{"expression": expression(program)}], "purl": purl(program),
    }
    depends = [{"ref": purl(by_id[id]), "dependsOn": sorted({purl(by_id[need]) for need in needs[id]})} for id in [start, *others]]
    depends[0]["dependsOn"].append(std["bom-ref"])
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))
    content = {
        "metadata": {
            "timestamp": datetime.datetime.fromtimestamp(epoch, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": own,
            "properties": [{"name": "latchd:target", "value": triple}],
        },
        "components": [*components, std],
        "dependencies": [*depends, {"ref": std["bom-ref"], "dependsOn": []}],
    }
    number = uuid.uuid5(uuid.NAMESPACE_OID, hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest())
    head = {"bomFormat": "CycloneDX", "specVersion": "1.5", "serialNumber": f"urn:uuid:{number}", "version": 1}
    return {**head, **content}, [by_id[id] for id in others if id not in builds]


def notices(packages):
    """Each crate that is linked in, then each text once, under the crates whose it is."""
    texts, silent = {}, []
    for package in packages:
        folder = pathlib.Path(package["manifest_path"]).parent
        files = sorted(f for f in folder.iterdir() if f.is_file() and NOTICES.match(f.name) and f.suffix not in (".rs", ".toml"))
        name = f"{package['name']} {package['version']}"
        for file in files:
            text = "\n".join(line.rstrip() for line in file.read_text(errors="replace").strip().splitlines())
            texts.setdefault(text, []).append(name)
        if not files:
            silent.append(name)
    yield "The programs of this package contain these libraries, with their licences and authors. Where a licence is a choice"
    yield "(OR), each of those named may be chosen; the notices that came with them follow.\n"
    yield "rust-std: MIT OR Apache-2.0, The Rust Project Developers"
    for package in packages:
        authors = ", ".join(re.sub(r"\s*<.*?>", "", a) for a in package["authors"])
        yield f"{package['name']} {package['version']}: {expression(package)}" + (f", {authors}" if authors else "")
    if silent:
        yield "\nWithout a notice of their own: " + ", ".join(silent) + "."
    for text, names in sorted(texts.items(), key=lambda item: item[1]):
        yield "\n" + "-" * 80 + "\n" + ", ".join(dict.fromkeys(names)) + "\n\n" + text


def main():
    triple, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    made, packages = bill(triple, metadata(triple))
    (folder / "sbom.cdx.json").write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n")
    (folder / "third-party.txt").write_text("\n".join(notices(packages)) + "\n")


if __name__ == "__main__":
    main()
