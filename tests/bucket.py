"""S3 on a free port of this machine, by moto: requests are recorded, and faults can be put between a client and the store."""

import threading

import boto3
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

# What clients need to reach it; without the last one, botocore would ask for credentials at an address of Amazon's.
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "somebody",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


class _Quiet(WSGIRequestHandler):
    def log(self, *arguments):
        pass


class Bucket:
    """A server with one bucket, "bucket".

    fault: called with method and path of each request; returns None, or what `failing` or `altered` describe.
    """

    def __init__(self):
        self.requests, self.fault = [], lambda method, path: None
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self, threaded=True, request_handler=_Quiet)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        secrets = {"aws_access_key_id": "somebody", "aws_secret_access_key": "secret", "region_name": "us-east-1"}
        self.client = boto3.client("s3", endpoint_url=self.url, **secrets)
        self.client.create_bucket(Bucket="bucket")

    def clear(self) -> None:
        """Removes all objects, recorded requests and faults."""
        self.fault = lambda method, path: None
        for name in self.names():
            self.client.delete_object(Bucket="bucket", Key=name)
        self.requests.clear()

    def names(self) -> list[str]:
        """The objects, sorted."""
        return [each["Key"] for each in self.client.list_objects_v2(Bucket="bucket").get("Contents", [])]

    def read(self, name: str) -> bytes:
        return self.client.get_object(Bucket="bucket", Key=name)["Body"].read()

    def write(self, name: str, content: bytes) -> None:
        self.client.put_object(Bucket="bucket", Key=name, Body=content)

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def __call__(self, environ, start_response):
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        self.requests.append((method, path))
        answer = self.fault(method, path)
        if isinstance(answer, tuple):
            status, body = answer
            start_response(status, [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
            return [b"" if method == "HEAD" else body]
        content = self._moto(environ, start_response)
        return content if answer is None else [answer(b"".join(content))]


def failing(status: str, code: str, message: str) -> tuple[str, bytes]:
    """An error as S3 answers it."""
    return status, f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()


def altered(content: bytes) -> bytes:
    """A content of the same length with one other byte near its end."""
    return content[:-9] + bytes([content[-9] ^ 1]) + content[-8:]
