import numpy as np
import pytest
import xraylib
from hypothesis import given
from hypothesis import strategies as st

from instrument.attenuation import absorbed_per_um, attenuation_per_um, formula_mass_g_mol
from instrument.measurement import Spectrum
from instrument.xanes import JOIN_ABOVE_eV, JOIN_BELOW_eV, MODEL_RANGE_eV, parametric, tabulated
from phantom import FP, LFP, InputError

SPECIES = {"LFP": LFP, "FP": FP}
TABLE_EV = (7100, 7126, 7132, 7140, 7192, 7300)
# 1/um at each compound's own density, and FP held at LFP's volume: computed once, independently, for this project.
TABLE = {
    ("LFP", 3.600): (0.0168, 0.0889, 0.0728, 0.0632, 0.0594, 0.0580),
    ("FP", 3.687): (0.0180, 0.0456, 0.0918, 0.0865, 0.0689, 0.0622),
    ("FP", 3.4416): (0.0168, 0.0426, 0.0856, 0.0807, 0.0643, 0.0580),
}


def mu(name, density, energies):
    species = SPECIES[name]
    per_formula = density / formula_mass_g_mol(species.formula)
    return attenuation_per_um(species.formula, per_formula, energies, parametric(name)(energies))


@pytest.mark.parametrize("key", TABLE)
def test_the_table(key):
    assert mu(*key, np.array(TABLE_EV, float)) == pytest.approx(TABLE[key], rel=0.01)


@pytest.mark.parametrize("name", ["LFP", "FP"])
def test_bare_xraylib_outside_the_join(name):
    below = np.linspace(6950, MODEL_RANGE_eV[0] - JOIN_BELOW_eV, 40)
    above = np.linspace(MODEL_RANGE_eV[1] + JOIN_ABOVE_eV, 7600, 40)
    energies = np.concatenate([below, above])
    species = SPECIES[name]
    found = attenuation_per_um(species.formula, species.iron_mol_cm3, energies, parametric(name)(energies))
    bare = [xraylib.CS_Total_CP(species.formula, e / 1000) * species.density_g_cm3 * 1e-4 for e in energies]
    assert found == pytest.approx(bare, rel=1e-6)


@pytest.mark.parametrize("name", ["LFP", "FP"])
def test_the_join_is_continuous(name):
    energies = np.arange(7080, 7260, 0.01)
    value = parametric(name)(energies)
    assert np.abs(np.diff(value)).max() < 0.006
    assert value[0] == 0
    assert value[-1] == 1


def test_landmarks_of_the_spectra():
    energies = np.arange(7100, 7199, 0.01)
    lfp, fp = parametric("LFP")(energies), parametric("FP")(energies)
    assert energies[np.argmax(lfp)] == pytest.approx(7127.28, abs=0.3)
    assert energies[np.argmax(fp)] == pytest.approx(7132.24, abs=0.3)
    assert lfp.max() == pytest.approx(1.677, abs=0.01)
    assert fp.max() == pytest.approx(1.540, abs=0.01)
    half = [energies[np.argmax(spectrum >= 0.5)] for spectrum in (lfp, fp)]
    assert half[0] == pytest.approx(7120.58, abs=0.1)
    assert half[1] - half[0] == pytest.approx(4.94, abs=0.1)


def test_model_follows_the_measured_standards(measured):
    for name in ("LFP", "FP"):
        energy, norm = np.loadtxt(measured / f"{name}_FeK_norm.txt").T
        chosen = energy >= 7100
        assert np.sqrt(np.mean((parametric(name)(energy[chosen]) - norm[chosen]) ** 2)) < 0.005


def test_phase_contrast_at_one_energy():
    """FP less LFP at constant volume: 8 % at 7192 eV, about -50 % at 7126 eV."""
    lfp, fp = mu("LFP", 3.6, [7192.0, 7126.0]), mu("FP", 3.4416, [7192.0, 7126.0])
    assert fp / lfp - 1 == pytest.approx([0.08, -0.52], abs=0.02)


def test_dose_of_one_photon():
    """1.46e-2 Gy per photon/um2 in LFP at 7192 eV: fluence * E * absorption / density."""
    energy = np.array([7192.0])
    absorbed = absorbed_per_um("LiFePO4", LFP.iron_mol_cm3, energy, parametric("LFP")(energy))
    gray = absorbed[0] * 7192 * 1.602176634e-19 / (3.6e-12 * 1e-3)
    assert gray == pytest.approx(1.46e-2, rel=0.015)


@given(density=st.floats(0.001, 0.1), factor=st.floats(1.1, 5), energy=st.floats(7000, 7500))
def test_attenuation_is_proportional_to_density(density, factor, energy):
    one, more = (attenuation_per_um("LiFePO4", d, [energy]) for d in (density, density * factor))
    assert more == pytest.approx(one * factor)


def test_a_table_becomes_an_edge():
    energies = np.arange(7090, 7199.0, 0.5)
    edge = tabulated(Spectrum("LFP", energies, parametric("LFP")(energies), normalized=True))
    between = np.arange(7105.2, 7180, 0.37)
    assert edge(between) == pytest.approx(parametric("LFP")(between), abs=2e-3)
    assert edge([7000.0, 7400.0]) == pytest.approx([0, 1])


@pytest.mark.parametrize(
    ("energies", "mu", "words"),
    [
        ([7100, 7120, 7130, 7150], [0, 1, np.nan, 1], "not finite"),
        ([7100, 7120, 7119, 7150], [0, 1, 1, 1], "rise"),
        ([7.100, 7.120, 7.130, 7.150], [0, 1, 1, 1], "keV"),
        ([7100, 7150], [0, 1], "at least 4"),
    ],
)
def test_bad_spectra_are_refused(energies, mu, words):
    with pytest.raises(InputError, match=words):
        Spectrum("FP", np.array(energies, float), np.array(mu, float), normalized=True)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: attenuation_per_um("LiFePO4", -1, [7100.0]), "more than 0"),
        (lambda: attenuation_per_um("LiFePO4", 0.02, [1.0]), "allowed 2000"),
        (lambda: attenuation_per_um("Xx2", 0.02, [7100.0]), "formula"),
        (lambda: parametric("NMC"), "NMC"),
        (lambda: tabulated(Spectrum("FP", np.arange(7115.0, 7200), np.ones(85), normalized=True)), "covers"),
    ],
)
def test_bad_input_is_refused(call, words):
    with pytest.raises(InputError, match=words):
        call()
