"""Users and queries are known by hashes that only the key's holder can make."""

from tao_ops.privacy import keyed_hash


def test_a_hash_depends_on_the_key_and_on_where_parts_end() -> None:
    hashed = keyed_hash(b"key", "user", "anna")
    assert hashed == keyed_hash(b"key", "user", "anna") == "c6ff67367ca1aecdfe7c8a2d09d6838c"
    assert len({hashed, keyed_hash(b"other", "user", "anna"), keyed_hash(b"key", "usera", "nna")}) == 3
    assert "anna" not in hashed
