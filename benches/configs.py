#!/usr/bin/env python3
"""What reading long configs costs, as a table: time and peak memory by dialect and size, each beside the file's own size.

configs.py [ROUNDS]: `decide` with one request, medians of ROUNDS (default 5); $LLMGUARD is the program, by default target/release/llmguard.
configs.py DIALECT BYTES: such a config on standard output (nginx, caddy, traefik), for other measurements.

Sites with a name, a password and eight paths each, no two alike. Peak memory is the kernel's `ru_maxrss`, which never tells less than the
14 MiB of the Python that starts the program. Aims on a quiet machine: nginx within 50 ms for 1 MiB; memory below ten times the file from 8 MiB on.
"""
import os
import statistics
import subprocess
import sys
import tempfile
import time

SIZES = (1, 2, 4, 8, 22)
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
    """Milliseconds of wall time, and the peak of memory in MiB."""
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
        return spent, usage.ru_maxrss / 1024


def main(rounds):
    program = os.environ.get("LLMGUARD", os.path.join(os.path.dirname(__file__), "..", "target", "release", "llmguard"))
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; medians of {rounds} rounds")
    print(f"{'dialect':8} {'MiB':>6} {'ms':>9} {'ms/MiB':>8} {'peak MiB':>9} {'x file':>7}")
    with tempfile.TemporaryDirectory() as folder:
        for dialect in ("nginx", "caddy", "traefik"):
            for size in SIZES:
                path = os.path.join(folder, {"nginx": "nginx.conf", "caddy": "Caddyfile", "traefik": "dynamic.yml"}[dialect])
                with open(path, "w", encoding="ascii") as file:
                    file.write(whole(dialect, size << 20))
                runs = [took(program, dialect, path) for _ in range(rounds)]
                spent, peak = (statistics.median(column) for column in zip(*runs))
                print(f"{dialect:8} {size:6} {spent:9.1f} {spent / size:8.1f} {peak:9.1f} {peak / size:7.1f}", flush=True)


if __name__ == "__main__":
    if len(sys.argv) == 3:
        sys.stdout.write(whole(sys.argv[1], int(sys.argv[2])))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
