"""What the writer is told is what the server was told."""

from datetime import timedelta

from tao_ops.config import CaptureConfig, PersonalKind, PrivacyConfig
from tao_ops.serve.capture.setup import Setup


def test_the_setup_passes_through_the_pipe_whole() -> None:
    config = CaptureConfig(sync="interval", interval=timedelta(milliseconds=50), sample=0.25)
    privacy = {"t": PrivacyConfig(kinds=(PersonalKind.EMAIL,), allow=("shop@example.org",), names=False)}
    setup = Setup("there", b"\x00key", config, server="here", privacy=privacy)
    assert Setup.from_json(setup.to_json()) == setup
