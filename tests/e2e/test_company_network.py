"""A program in a company's network: its server stands behind a proxy, under an authority of the company's own.

Every program is the installed wheel, and every byte goes over real TLS and a real CONNECT proxy to a real
server. Nothing is lost while either is set up wrongly, the log says what to mend, and it goes on when it is.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from counting import RECORD, assert_stored, segments, stored_spans, wait_for_empty_journal
from gateways import PLAIN, Authority, ConnectProxy, TlsFront, closing
from parts import Server, run_program, start_program

# A name that no resolver knows (RFC 2606): only a proxy can lead there.
NAME = "staso.example.invalid"
INIT = RECORD + "st.init(flush_interval=0.005)\n"
DELIVERED = "record(0, 300)\nreport = st.flush(60)\nassert report.ok and report.delivered == 300, report\n"
# What is said before the end is said whenever somebody comes by.
FAILED = """
record(0, 300)
stats = lambda: st.get_client().stats()
while not stats()["failed_requests"]:
    report = st.flush(0.2)
    assert not report.ok, report
"""

# The next program of the same destination takes over what the one before it could not deliver.
TAKE_OVER = """
import glob
record(300, 100)
wait_until("the spans of others", lambda: len(glob.glob(os.environ["STASO_HOME"] + "/journal/*.seg")) < 2)
assert st.flush(60).ok
"""


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """The company's authority."""
    return Authority(tmp_path, "company")


@pytest.fixture
def named_server(stopped_server: Server, home: Path) -> Server:
    """A server that may be called by its name in the company."""
    (home / "staso.toml").write_text(f'allowed_hosts = ["{NAME}", "127.1"]\n')
    return stopped_server.start()


def program_env(url: str, **more: str) -> dict[str, str]:
    return {**PLAIN, "STASO_BASE_URL": url, "STASO_API_KEY": "ak_of_this_test", **more}


@pytest.mark.spec("5.proxies", "5.certificates")
def test_everything_arrives_through_the_proxy_and_under_the_companys_authority(
    named_server: Server, home: Path, authority: Authority
) -> None:
    front = TlsFront(named_server, authority.sign(f"DNS:{NAME}"))
    proxy = ConnectProxy({f"{NAME}:443": front.port}, password="agent:p@ss/word")
    with closing(front, proxy):
        trusted = str(authority.certificate)
        env = program_env(f"https://{NAME}", HTTPS_PROXY=proxy.url("agent:p%40ss%2Fword@"), SSL_CERT_FILE=trusted)
        run_program(INIT + DELIVERED, home, env=env)
        assert set(proxy.asked) == {f"CONNECT {NAME}:443"}
    assert segments(home) == []
    assert_stored(named_server, 300)


@pytest.mark.spec("5.certificates")
def test_a_server_on_this_machine_is_spoken_to_directly(server: Server, home: Path, authority: Authority) -> None:
    front = TlsFront(server, authority.sign("IP:127.0.0.1"))
    proxy = ConnectProxy({})
    with closing(front, proxy):
        env = program_env(
            f"https://127.0.0.1:{front.port}", HTTPS_PROXY=proxy.url(), SSL_CERT_FILE=str(authority.certificate)
        )
        run_program(INIT + DELIVERED, home, env=env)
        assert proxy.asked == []
    assert_stored(server, 300)


@pytest.mark.spec("5.proxies")
@pytest.mark.parametrize("no_proxy", ["", "other.invalid, 127.1", "127.1:{port}", "127.1:1", "*"])
def test_no_proxy_names_who_is_reached_directly(named_server: Server, home: Path, no_proxy: str) -> None:
    port = int(named_server.url.rsplit(":", 1)[1])
    # A spelling of this machine that is not taken for it.
    proxy = ConnectProxy({f"127.1:{port}": port})
    with closing(proxy):
        no_proxy = no_proxy.format(port=port)
        env = program_env(f"http://127.1:{port}", http_proxy=proxy.url(), NO_PROXY=no_proxy, STASO_ALLOW_HTTP="1")
        run_program(INIT + DELIVERED, home, env=env)
        goes_through = no_proxy in ("", "127.1:1")
        assert set(proxy.asked) == ({f"CONNECT 127.1:{port}"} if goes_through else set())
    assert_stored(named_server, 300)


@pytest.mark.spec("5.certificates", "5.logged-once")
def test_a_wrong_authority_is_told_and_mended_while_the_program_runs(
    server: Server, home: Path, tmp_path: Path, authority: Authority
) -> None:
    front = TlsFront(server, authority.sign("IP:127.0.0.1"))
    trusted = tmp_path / "trusted.pem"
    shutil.copy(Authority(tmp_path, "stranger").certificate, trusted)
    source = FAILED + "print('failed', flush=True)\nsys.stdin.read()\nrecord(300, 300)\nassert st.flush(60).ok\n"
    with closing(front):
        env = program_env(f"https://127.0.0.1:{front.port}", SSL_CERT_FILE=str(trusted))
        with start_program(INIT + source, home, env=env) as program:
            assert program.stdout is not None
            assert program.stdout.readline() == "failed\n"
            assert stored_spans(server) == 0
            shutil.copy(authority.certificate, trusted)
            _, err = program.communicate(timeout=120)
    assert program.returncode == 0, err
    assert f"SSL_CERT_FILE names {trusted}: put the certificate of the authority" in err
    assert "UnknownIssuer" in err and f"https://127.0.0.1:{front.port}" in err
    assert err.count("SSL_CERT_FILE") == 1, err
    assert segments(home) == []
    assert_stored(server, 600)


WRONG = {
    "no such file": ("IP:127.0.0.1", "/nowhere/ca.pem", "SSL_CERT_FILE names /nowhere/ca.pem, which cannot be read"),
    "another host": ("DNS:other.invalid", "company.pem", "check the host in base_url"),
    "another authority": ("IP:127.0.0.1", "stranger.pem", "SSL_CERT_FILE names "),
}


@pytest.mark.spec("5.certificates", "5.journal-later", "5.logged-once")
@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_with_a_certificate_is_told_and_the_next_program_delivers(
    server: Server, home: Path, tmp_path: Path, authority: Authority, case: str
) -> None:
    host, ca_file, message = WRONG[case]
    Authority(tmp_path, "stranger")
    front = TlsFront(server, authority.sign(host))
    url = f"https://127.0.0.1:{front.port}"
    with closing(front):
        env = program_env(url, SSL_CERT_FILE=str(tmp_path / ca_file), SSL_CERT_DIR="")
        with start_program(INIT + FAILED + "st.shutdown(0)\n", home, env=env) as program:
            _, err = program.communicate(timeout=120)
        assert program.returncode == 0, err
        assert message in err, err
        assert stored_spans(server) == 0
    # The same address, mended: what the first program left is for that address only.
    mended = TlsFront(server, authority.sign("IP:127.0.0.1"), front.port)
    with closing(mended):
        env = program_env(url, SSL_CERT_FILE=str(authority.certificate))
        run_program(INIT + TAKE_OVER, home, env=env)
        wait_for_empty_journal(home)
    assert_stored(server, 400)


@pytest.mark.spec("5.proxies", "5.logged-once")
def test_a_proxy_that_lets_nobody_through_is_told_and_mended_while_the_program_runs(
    named_server: Server, home: Path, authority: Authority
) -> None:
    front = TlsFront(named_server, authority.sign(f"DNS:{NAME}"))
    proxy = ConnectProxy({f"{NAME}:443": front.port}, password="agent:secret")
    source = FAILED + "print('failed', flush=True)\nsys.stdin.read()\nrecord(300, 300)\nassert st.flush(60).ok\n"
    with closing(front, proxy):
        env = program_env(f"https://{NAME}", HTTPS_PROXY=proxy.url("agent:old@"))
        env["SSL_CERT_FILE"] = str(authority.certificate)
        with start_program(INIT + source, home, env=env) as program:
            assert program.stdout is not None
            assert program.stdout.readline() == "failed\n"
            assert stored_spans(named_server) == 0
            proxy.password = "agent:old"
            _, err = program.communicate(timeout=120)
    assert program.returncode == 0, err
    assert f"the proxy 127.0.0.1:{proxy.port} wants a user and a password: write them into HTTPS_PROXY" in err
    assert "agent:old" not in err
    assert segments(home) == []
    assert_stored(named_server, 600)


@pytest.mark.spec("5.proxies")
@pytest.mark.parametrize("proxy_url", ["socks5://127.0.0.1:{port}", "http://127.0.0.1:{port}"])
def test_no_request_goes_round_a_proxy_that_cannot_be_used(named_server: Server, home: Path, proxy_url: str) -> None:
    port = int(named_server.url.rsplit(":", 1)[1])
    nobody = ConnectProxy({})
    nobody.close()
    proxy_url = proxy_url.format(port=nobody.port)
    env = program_env(f"http://127.1:{port}", ALL_PROXY=proxy_url, STASO_ALLOW_HTTP="1")
    with start_program(INIT + FAILED + "st.shutdown(0)\n", home, env=env) as program:
        _, err = program.communicate(timeout=120)
    assert program.returncode == 0, err
    assert "ALL_PROXY" in err and f"127.0.0.1:{nobody.port}" in err, err
    assert stored_spans(named_server) == 0
    run_program(INIT + TAKE_OVER, home, env=program_env(f"http://127.1:{port}", STASO_ALLOW_HTTP="1"))
    wait_for_empty_journal(home)
    assert_stored(named_server, 400)
