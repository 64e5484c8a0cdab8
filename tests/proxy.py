"""A way to a PostgreSQL server that is cut before a commit gets there, or before its answer."""

import socket
import threading
from contextlib import suppress
from typing import Literal

COMMIT = b"COMMIT\0"  # the end of the message by which psycopg commits


class Proxy:
    """Listens on a port of its own and passes everything on to `port`, until it is to cut.

    `cut` is which side of the next commit is lost: its "request", or its "answer", which the server
    gives once it has committed. The connection of it is closed, and all is as before.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.cut: Literal["request", "answer"] | None = None
        self.cuts = 0
        self.listening = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self, url: str) -> str:
        return url.replace(f":{self.port}/", f":{self.listening.getsockname()[1]}/")

    def close(self) -> None:
        self.listening.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self.listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self.port)) as server:
            back = threading.Thread(target=self._pass_back, args=(server, client), daemon=True)
            back.start()
            self._pass_on(client, server)
            for each in (client, server):
                with suppress(OSError):  # it is closed already
                    each.shutdown(socket.SHUT_RDWR)
            back.join()

    def _pass_on(self, client: socket.socket, server: socket.socket) -> None:
        try:
            while content := client.recv(65_536):
                if not content.endswith(COMMIT) or self.cut is None:
                    server.sendall(content)
                    continue
                self.cuts += 1
                if self.cut == "request":
                    self.cut = None
                    return
                self.answered = threading.Event()
                server.sendall(content)
                self.answered.wait(60)
                return
        except OSError:
            return

    def _pass_back(self, server: socket.socket, client: socket.socket) -> None:
        try:
            while content := server.recv(65_536):
                if self.cut == "answer" and content.startswith(b"C") and b"COMMIT" in content:
                    self.cut = None
                    self.answered.set()
                    return
                client.sendall(content)
        except OSError:
            return
