from service.engine.callbacks import Callbacks

SEAT = "p00-aaaaaaaaaaaaaaaaaaaa.1"


def mac(callbacks: Callbacks) -> str:
    return callbacks.participant(SEAT).rsplit("/", 1)[1]


def test_an_address_proves_itself_for_its_seat_alone() -> None:
    ours = Callbacks("https://bridge.test", "u", "password")
    assert ours.proves(SEAT, mac(ours))
    assert not ours.proves("p00-aaaaaaaaaaaaaaaaaaaa.2", mac(ours))
    assert not ours.proves(SEAT, mac(Callbacks("https://bridge.test", "u", "other")))
    assert not ours.proves(SEAT, "é")
    assert "password" not in repr(ours)


def test_the_previous_password_counts_while_it_is_rotated() -> None:
    old = Callbacks("https://bridge.test", "u", "old")
    assert Callbacks("https://bridge.test", "u", "new", "old").proves(SEAT, mac(old))
    assert not Callbacks("https://bridge.test", "u", "new").proves(SEAT, mac(old))


def test_voice_addresses() -> None:
    ours = Callbacks("https://bridge.test/base", "u", "p")
    assert ours.voice("p00-x") == "https://bridge.test/base/callbacks/voice/p00-x"
    assert (
        ours.voice("p00-x", 2, again=1) == "https://bridge.test/base/callbacks/voice/p00-x/2?again=1&since=0"
    )
