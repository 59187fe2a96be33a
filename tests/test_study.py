import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phantom import InputError
from validation import load_study, study_from
from validation.study import built_in, digest, parse_setting
from validation.study_text import commented_toml, study_toml

NAMES = [
    "beam-slowed",
    "clean",
    "default",
    "domino",
    "electrode-2d",
    "end",
    "initial",
    "isotropic",
    "low-dose",
    "middle",
    "misaligned",
    "operando-2d",
    "partial",
    "pure-lfp",
    "slow-scan",
    "solid-solution",
    "tiny",
    "unexposed",
    "wrong-standard",
]


def test_the_built_in_studies():
    assert built_in() == NAMES
    assert all(load_study(name).description for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_study_survives_its_own_text(name):
    study = load_study(name)
    for text in (study_toml(study), commented_toml(study)):
        assert study_from(tomllib.loads(text)) == study


def test_the_text_says_unit_bounds_default_and_source():
    text = commented_toml(load_study("default"))
    for words in ("unit um", "allowed > 0", "default 0.5", "guess", "'constant' or 'shrinking'"):
        assert words in text


def test_sizes_that_figures_are_compared_at():
    default, low, clean = (load_study(name) for name in ("default", "low-dose", "clean"))
    assert (default.scan.rows, default.scan.columns, default.scan.angles, len(default.scan.energies_eV)) == (128, 128, 121, 13)
    assert default.beam.shot_noise
    assert default.optics.outermost_zone_um > 0
    assert default.stage.runout_um > 0
    assert (low.scan.rows, low.scan.columns, low.scan.angles, len(low.scan.energies_eV)) == (128, 256, 181, 31)
    assert (min(low.scan.energies_eV), max(low.scan.energies_eV), low.scan.pixel_um) == (7095, 7185, 0.06)
    assert low.beam.photons_per_pixel == 1e4
    assert clean.scan == default.scan
    assert not clean.beam.shot_noise


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"particle.semiaxes_um": [1, 1, 1]}, "unknown key particle.semiaxes_um; did you mean semi_axes_um"),
        ({"colour": 1}, "unknown key colour"),
        ({"species.LFP.density_g_cm3": -3.6}, "species.LFP.density_g_cm3 is -3.6; allowed is float > 0"),
        ({"species.LFP.density_g_cm3": float("nan")}, "finite"),
        ({"front.fraction": 1.2}, "front.fraction is 1.2; allowed is float <= 1"),
        ({"front.volume": "growing"}, "front.volume is 'growing'; allowed is 'constant', 'shrinking'"),
        ({"particle.orientation_deg": "up"}, "particle.orientation_deg"),
        ({"scan.energies_eV": [7100.0, 12000.0]}, r"scan.energies_eV\[1\] is 12000.0; allowed is float <= 7600"),
        ({"scan.energies_eV": [7100.0, 7100.0]}, "different"),
        ({"scan.angles": "many"}, "scan.angles is 'many'; allowed is int"),
        ({"scan": 3}, "scan is 3"),
        ({"scan.first_angle_deg": 90.0}, "first_angle_deg"),
        ({"camera.gain_adu": -1}, "camera.gain_adu is -1"),
        ({"species.FP.spectrum": "nowhere.txt", "seed": 2}, "nowhere.txt"),
    ],
)
def test_bad_studies_are_refused_in_one_line(changes, words):
    with pytest.raises(InputError, match=words) as caught:
        digest(load_study("tiny", changes))
    assert "\n" not in str(caught.value)


def test_files_and_their_chains(tmp_path):
    (tmp_path / "mine.toml").write_text('extends = "tiny"\n[front]\nfraction = 0.3\n')
    study = load_study(tmp_path / "mine.toml")
    assert (study.name, study.front.fraction, study.scan.columns) == ("mine", 0.3, 48)
    (tmp_path / "loop.toml").write_text(f'extends = "{tmp_path / "loop.toml"}"\n')
    (tmp_path / "broken.toml").write_text("[front\n")
    for name, words in (("loop.toml", "extends itself"), ("broken.toml", "not TOML"), ("absent.toml", "no such file")):
        with pytest.raises(InputError, match=words):
            load_study(tmp_path / name)
    with pytest.raises(InputError, match="did you mean default"):
        load_study("defualt")


def test_the_digest_knows_content_not_paths(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"{folder}.txt").write_text("7000 0\n7100 0\n7150 1\n7200 1\n")
    one, two = (load_study("tiny", {"species.LFP.spectrum": str(tmp_path / f / f"{f}.txt")}) for f in ("a", "b"))
    assert digest(one) == digest(two)
    (tmp_path / "b" / "b.txt").write_text("7000 0\n7100 0\n7150 1\n7200 0.9\n")
    assert digest(one) != digest(two)
    assert digest(load_study("tiny")) != digest(load_study("tiny", {"front.fraction": 0.4}))
    assert digest(load_study("tiny")) == digest(load_study("tiny", {"seed": 7}))


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_settings_of_the_command_line(value):
    assert parse_setting(f"front.fraction={value!r}") == ("front.fraction", value)


def test_words_and_lists_of_the_command_line():
    assert parse_setting("particle.orientation_deg=random") == ("particle.orientation_deg", "random")
    assert parse_setting("front.speed=[1, 2, 3]") == ("front.speed", [1, 2, 3])
    with pytest.raises(InputError, match="KEY=VALUE"):
        parse_setting("front.fraction")
