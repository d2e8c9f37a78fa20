#!/usr/bin/env python3
"""What reading long configs costs, as a table: time and peak memory by dialect and size, each beside the file's own size.

configs.py [ROUNDS]: `decide` with one request, how fast texts are cut, then `lint` beside other tools for nginx's configs, medians of ROUNDS
(default 5), as the page docs/speed.md; benches/configs.sh installs what that needs and writes it. $LLMGUARD is the program, by default
target/release/llmguard, $LLMGUARD_LEXING that of benches/lexing.rs; a tool that isn't installed is named and left out, one that needs more than
a minute is stopped, and one that has had a minute isn't run again.
configs.py DIALECT BYTES: such a config on standard output (nginx, caddy, traefik), for other measurements.
configs.py tree FOLDER [FILES]: nginx.conf in a folder, and 2,000 files with two servers of eight locations each, which it includes.

Sites with a name, a password and eight paths each, no two alike. Wall time hangs on what else the machine does, the time of processors less so.
Peak memory is the kernel's `ru_maxrss`, which never tells less than the 14 MiB of the Python that starts the program. Aims on a quiet machine: nginx within 50 ms for 1 MiB; memory below ten times the file from
8 MiB on; nginx's configs and Caddyfiles cut at 100 MB/s, YAML at 25; `lint` of one small file within 5 ms, of a tree within
150 ms, of 22 MiB within a second. In a tree no two servers have a path in common, unless they are "alike": those differ by names.
"""
import datetime
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

SIZES = (1, 2, 4, 8, 22)
# Seconds that a tool gets.
LONGEST = 60
REQUEST = b'{"method":"GET","target":"/path3/of7/x","headers":[["Host","site7.example.com"]]}\n'
HASH = "$2b$04$wvxOo0Nf5tXrdm0y1VYVN.Hf2rEnhYE1IHHPVTOLFNVPuGmOJLmTS"


def nginx(n):
    lines = [f"    server {{", f"        listen 127.0.0.1:8080;", f"        server_name site{n}.example.com;"]
    lines += [f'        auth_basic "site {n}";', f"        auth_basic_user_file /etc/nginx/users;"]
    for path in range(8):
        lines += [
            f"        location /path{path}/of{n}/ {{",
            f"            auth_basic \"path {path} of {n}\";",
            f"            proxy_set_header Host $host;",
            f"            proxy_set_header X-Real-IP $remote_addr;",
            f"            proxy_set_header X-Forwarded-Proto $scheme;",
            f"            proxy_pass http://127.0.0.1:11434;",
            f"        }}",
        ]
    return "\n".join(lines + ["    }", ""])


def caddy(n):
    lines = [f"http://site{n}.example.com:8080 {{"]
    for path in range(8):
        lines += [
            f"    handle /path{path}/of{n}/* {{",
            f"        basic_auth {{",
            f"            user{n} {HASH}",
            f"        }}",
            f"        reverse_proxy 127.0.0.1:11434 {{",
            f"            header_up X-Real-IP {{remote_host}}",
            f"            header_up X-Site site{n}",
            f"        }}",
            f"    }}",
        ]
    return "\n".join(lines + ["}", ""])


def traefik(n):
    lines = []
    for path in range(8):
        lines += [
            f"    site{n}-path{path}:",
            f"      rule: \"Host(`site{n}.example.com`) && PathPrefix(`/path{path}/of{n}/`)\"",
            f"      middlewares:",
            f"        - users",
            f"      service: ollama  # of site {n}",
        ]
    return "\n".join(lines + [""])


def whole(dialect, size):
    site = {"nginx": nginx, "caddy": caddy, "traefik": traefik}[dialect]
    start, end = {
        "nginx": ("events {}\nhttp {\n", "}\n"),
        "caddy": ("", ""),
        "traefik": (
            "http:\n  services:\n    ollama:\n      loadBalancer:\n        servers:\n          - url: http://127.0.0.1:11434\n"
            f"  middlewares:\n    users:\n      basicAuth:\n        users:\n          - 'user:{HASH}'\n  routers:\n",
            "",
        ),
    }[dialect]
    parts, length, n = [start], len(start), 0
    while length < size:
        parts.append(site(n))
        length += len(parts[-1])
        n += 1
    return "".join(parts + [end])


def took(program, dialect, path):
    """Milliseconds of wall time and of processors, and the peak of memory in MiB."""
    with tempfile.TemporaryFile() as request, tempfile.TemporaryFile() as answer:
        request.write(REQUEST)
        request.seek(0)
        start = time.perf_counter()
        run = subprocess.Popen([program, "decide", path, "--as", dialect], stdin=request, stdout=answer, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(run.pid, 0)
        spent = 1000 * (time.perf_counter() - start)
        answer.seek(0)
        if os.waitstatus_to_exitcode(status) != 0 or b'"outcome"' not in answer.read():
            sys.exit(f"{program} decide {path} --as {dialect}: no decision")
        return spent, 1000 * (usage.ru_utime + usage.ru_stime), usage.ru_maxrss / 1024


def tree(folder, files, alike=False):
    """A main file, and files of about 3.5 kB that it includes; the paths of no two servers are the same, unless they are alike."""
    os.makedirs(os.path.join(folder, "sites"), exist_ok=True)
    for n in range(files):
        lines = []
        for m in (2 * n, 2 * n + 1):
            lines += ["server {", "    listen 127.0.0.1:8080;", f"    server_name site{m}.example.com;", f'    auth_basic "site {m}";']
            lines += ["    auth_basic_user_file /etc/nginx/users;"]
            for path in range(8):
                below = "" if alike else f"of{m}/"
                lines += [f"    location /path{path}/{below} {{", "        proxy_set_header Host $host;"]
                lines += ["        proxy_set_header X-Real-IP $remote_addr;", "        proxy_read_timeout 600s;"]
                lines += ["        proxy_pass http://127.0.0.1:11434;", "    }"]
            lines += ["}"]
        with open(os.path.join(folder, "sites", f"site{n:04}.conf"), "w", encoding="ascii") as file:
            file.write("\n".join(lines + [""]))
    with open(os.path.join(folder, "nginx.conf"), "w", encoding="ascii") as file:
        file.write("events {}\nhttp {\n    include sites/*.conf;\n}\n")


def ran(arguments, statuses):
    """Milliseconds of wall time and of processors, and the peak of memory in MiB; None: it took too long."""
    start = time.perf_counter()
    run = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    signal.signal(signal.SIGALRM, lambda *_: os.kill(run.pid, signal.SIGKILL))
    signal.alarm(LONGEST)
    _, status, usage = os.wait4(run.pid, 0)
    signal.alarm(0)
    spent = 1000 * (time.perf_counter() - start)
    if os.waitstatus_to_exitcode(status) == -signal.SIGKILL:
        return None
    if os.waitstatus_to_exitcode(status) not in statuses:
        sys.exit(f"{arguments}: status {os.waitstatus_to_exitcode(status)}")
    return spent, 1000 * (usage.ru_utime + usage.ru_stime), usage.ru_maxrss / 1024


def lexing(rounds):
    """How fast texts are cut, without a look at what they mean."""
    program = os.environ.get("LLMGUARD_LEXING")
    print("\n## Cutting texts, on one core\n")
    if not program:
        print("Left out: $LLMGUARD_LEXING isn't set.")
        return
    print("| | MB | MB/s |\n|---|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        arguments = []
        for dialect, name in (("nginx", "nginx"), ("caddy", "caddy"), ("traefik", "yaml")):
            path = os.path.join(folder, name)
            with open(path, "w", encoding="ascii") as file:
                file.write(whole(dialect, 8 << 20))
            arguments.append(f"{name}={path}")
        run = subprocess.run([program, str(3 * rounds), *arguments], stdout=subprocess.PIPE, check=True, text=True)
        for line in run.stdout.splitlines():
            print("| " + " | ".join(line.split()) + " |", flush=True)


def lint(program, rounds):
    """`lint` and what others need for the same nginx config; findings are no failure."""
    nginx_program = os.environ.get("LLMGUARD_NGINX") or shutil.which("nginx")
    tools = [
        ("/bin/true", ["/bin/true"], (0,)),
        ("llmguard lint", [program, "--quiet", "lint"], (0, 1)),
        ("gixy-ng", ["gixy"], (0, 1)),
        ("crossplane parse", ["crossplane", "parse"], (0,)),
        # Certificates, users and rights differ: it reads the config in any case.
        ("nginx -t", [nginx_program, "-p", "/tmp", "-t", "-q", "-c"], (0, 1)),
    ]
    missing = [name for name, arguments, _ in tools if not arguments[0] or not shutil.which(arguments[0])]
    print("\n## Linting an nginx config\n")
    for name in missing:
        print(f"Left out, since it isn't installed: {name}.\n")
    print("| | of | MiB | ms | CPU ms | peak MiB |\n|---|---|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        for what, files, size in (("a file", 1, 0), ("a tree", 2000, 0), ("a tree, alike", 2000, 0), ("22 MiB", 0, 22 << 20)):
            path = os.path.join(folder, what.replace(" ", "-"))
            os.makedirs(path)
            main = os.path.join(path, "nginx.conf")
            tree(path, files, alike="alike" in what)
            if size:
                with open(main, "w", encoding="ascii") as file:
                    file.write(whole("nginx", size))
            length = sum(os.path.getsize(os.path.join(at, name)) for at, _, names in os.walk(path) for name in names)
            for name, arguments, statuses in tools:
                if name in missing:
                    continue
                runs = []
                while len(runs) < rounds and None not in runs and sum(spent for spent, _, _ in runs) < 1000 * LONGEST:
                    runs.append(ran(arguments + [main], statuses))
                row = f"| {name} | {what} | {length / (1 << 20):.1f}"
                if None in runs:
                    print(f"{row} | over {LONGEST} s | | |", flush=True)
                    continue
                spent, busy, peak = (statistics.median(column) for column in zip(*runs))
                print(f"{row} | {spent:.1f} | {busy:.1f} | {peak:.1f} |", flush=True)


def main(rounds):
    program = os.environ.get("LLMGUARD", os.path.join(os.path.dirname(__file__), "..", "target", "release", "llmguard"))
    print("# What reading long configs costs\n")
    print("Written by `benches/configs.py`, whose head says what is measured and what the aims are.\n")
    told = f"{datetime.date.today()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, medians of {rounds} rounds."
    print(f"{told} {os.environ.get('LLMGUARD_BUILD', 'Release build.')}\n")
    print("## From a file to a gateway and one decision\n")
    print("| | MiB | ms | CPU ms | CPU ms/MiB | peak MiB | x file |\n|---|---:|---:|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        for dialect in ("nginx", "caddy", "traefik"):
            for size in SIZES:
                path = os.path.join(folder, {"nginx": "nginx.conf", "caddy": "Caddyfile", "traefik": "dynamic.yml"}[dialect])
                with open(path, "w", encoding="ascii") as file:
                    file.write(whole(dialect, size << 20))
                runs = [took(program, dialect, path) for _ in range(rounds)]
                spent, busy, peak = (statistics.median(column) for column in zip(*runs))
                row = f"| {dialect} | {size} | {spent:.1f} | {busy:.1f} | {busy / size:.1f} | {peak:.1f} | {peak / size:.1f} |"
                print(row, flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 2 and sys.argv[1] == "tree":
        tree(sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 2000)
    elif len(sys.argv) == 3:
        sys.stdout.write(whole(sys.argv[1], int(sys.argv[2])))
    else:
        rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
        main(rounds)
        lexing(rounds)
        lint(os.environ.get("LLMGUARD", os.path.join(os.path.dirname(__file__), "..", "target", "release", "llmguard")), rounds)
