"""What ART reads into the outputs of spiking networks."""

import copy

import numpy as np
import pytest
from art.attacks.evasion import AutoProjectedGradientDescent
from art.defences.postprocessor import ClassLabels
from art.metrics import clever_u
from art.utils import compute_accuracy, get_labels_np_array, is_probability
from spikingjelly.activation_based import neuron
from torch import nn

from art_snn import SpikingNetwork
from art_snn.attacks import SNNAutoPGD
from art_snn.coding import Direct, MembraneMean, SpikeCount
from art_snn.defenses.postprocessor import Softmax
from art_snn.gradients import surrogate
from art_snn.spiking import spiking_neurons
from art_snn.testing import tiny

RATES = np.array([[0.5, 0.5, 0.0, 0.0], [0.25, 0.25, 0.25, 0.25], [0.75, 0.0, 0.25, 0.0], [0.0, 0.0, 0.0, 0.0]])


def test_rates_pass_for_probabilities():
    """Rows that sum to one by accident: shares of spikes say nothing about confidence."""
    assert [is_probability(row) for row in RATES] == [True, True, True, False]
    assert is_probability(Softmax()(RATES.astype(np.float32))[0])


def test_rates_make_auto_pgd_refuse_or_change_its_loss():
    """APGD looks at one input, all ones: rates that sum to one there turn logits into probabilities for it."""

    class Half(SpikeCount):
        def decode(self, o):
            z = super().decode(o)
            return 0 * z + z.new_tensor([0.5, 0.5] + [0.0] * 8)

    clf = tiny.classifier(copy.deepcopy(tiny.direct()))
    clf.model.decoder = Half()
    with pytest.raises(ValueError, match="logits"):
        AutoProjectedGradientDescent(clf, loss_type="difference_logits_ratio")
    clf.model.decoder = MembraneMean()
    AutoProjectedGradientDescent(clf, loss_type="difference_logits_ratio")


def test_ties_become_labels_of_several_classes():
    assert get_labels_np_array(RATES[:2]).sum(1).tolist() == [2, 4]


def test_silent_rows_count_as_abstained():
    """Three of four are right; ART drops the silent one and says all."""
    answers = np.array([[3.0, 0, 0], [0, 2.0, 0], [0, 0, 1.0], [0, 0, 0]])
    accuracy, coverage = compute_accuracy(answers, np.eye(3)[[0, 1, 2, 1]])
    assert (accuracy, coverage) == (1.0, 0.75)


def test_the_default_decoder_has_no_ties_and_no_silent_rows():
    z = tiny.classifier(tiny.direct()).predict(tiny.samples(64)[0])
    assert (get_labels_np_array(z).sum(1) == 1).all()
    assert (z != 0).any(1).all()


def test_class_labels_marks_every_class_of_the_batch_in_every_row():
    answers = np.array([[3.0, 0, 0], [0, 2.0, 0]], dtype=np.float32)
    assert ClassLabels()(answers).tolist() == [[1, 1, 0], [1, 1, 0]]
    one_by_one = np.concatenate([ClassLabels()(row[None]) for row in answers])
    assert one_by_one.tolist() == [[1, 0, 0], [0, 1, 0]]


def test_clever_reads_the_surrogate_and_certifies_what_is_false():
    """The score is a distance within which nothing is misclassified, if gradients are gradients."""
    clf = tiny.classifier(copy.deepcopy(tiny.direct()))
    for node in spiking_neurons(clf.model).values():
        node.surrogate_function = surrogate("triangle", 50.0)
    x, y = tiny.samples(32)
    right = clf.predict(x).argmax(1) == y
    x, y = x[right], y[right]
    attack = SNNAutoPGD(tiny.classifier(tiny.direct()), norm=2, eps=1.0, max_iter=20, verbose=False)
    found = attack.generate(x, y)
    fooled = np.flatnonzero(clf.predict(found).argmax(1) != y)
    distance = np.linalg.norm((found - x).reshape(len(x), -1), axis=1)
    row = fooled[distance[fooled].argmin()]
    score = clever_u(clf, x[row], nb_batches=5, batch_size=10, radius=2.0, norm=2, pool_factor=3, verbose=False)
    assert score > distance[row]


def test_a_spiking_output_layer_has_what_goes_wrong():
    """The rates above are no invention: a network whose output layer spikes makes such rows."""
    body = nn.Sequential(copy.deepcopy(tiny.direct().body), neuron.IFNode(step_mode="m"))
    z = tiny.classifier(SpikingNetwork(Direct(4), body, SpikeCount())).predict(tiny.samples(64)[0])
    assert (get_labels_np_array(z).sum(1) > 1).any()
