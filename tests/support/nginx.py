"""The proxy of the tests: the nginx of the system, with a configuration, a folder and a port of the test's own."""

import functools
import subprocess
from pathlib import Path

from tests.support.apt import find_or_install
from tests.support.redis_server import die_with_parent
from tests.support.waiting import wait_until

# What a distribution's nginx.conf says around a server; here all of it stays in one folder.
AROUND = """daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    types {{ text/html html; text/css css; text/javascript js; }}
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
{server}
}}
"""


@functools.cache
def find_nginx() -> tuple[str | None, str]:
    """The path of the executable or None, and the sentence to say where there is none."""
    return find_or_install("an nginx", ("nginx",), ("nginx-light", "openssl"))


def make_certificate(openssl: str, folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that nobody has signed, and its key."""
    certificate, key = folder / "cert.pem", folder / "key.pem"
    words = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    words += ["-subj", "/CN=127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([openssl, "req", *words], check=True, capture_output=True, timeout=60)
    return certificate, key


class Nginx:
    """Runs while the block runs. `server` is the server {} of a configuration."""

    def __init__(self, binary: str, folder: Path, server: str) -> None:
        self._binary, self._folder = binary, folder
        (folder / "nginx.conf").write_text(AROUND.format(folder=folder, server=server))

    def __enter__(self) -> "Nginx":
        command = [self._binary, "-p", str(self._folder), "-c", str(self._folder / "nginx.conf"), "-e", "stderr"]
        with (self._folder / "nginx.err").open("wb") as err:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=err, preexec_fn=die_with_parent)
        pid = self._folder / "nginx.pid"
        try:
            wait_until(
                lambda: self._process.poll() is not None or (pid.exists() and pid.read_text()), 15, "nginx listens"
            )
            assert self._process.poll() is None, (self._folder / "nginx.err").read_text()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(15)
