"""The losses against loops written from their formulas, duplicate targets included."""

import math

import numpy as np
import pytest
import torch

from dwc.modeling.combiners import normalize
from dwc.training.losses import (
    NOT_APPLICABLE,
    attribute_loss,
    contrastive_loss,
    image_text_loss,
    mutual_loss,
    share_loss,
    soft_labels,
    weight_loss,
)

B, D = 7, 5
LABELS = torch.tensor([3, 1, 3, 0, 3, 2, 1])  # 3 three times, 1 twice


@pytest.fixture
def embeddings() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(4)
    names = ("query", "gallery", "teacher_query", "teacher_gallery")
    return {
        name: normalize(torch.randn(B, D, generator=generator, dtype=torch.float64))
        for name in names
    }


def softmax(row: list[float]) -> list[float]:
    total = sum(math.exp(value) for value in row)
    return [math.exp(value) / total for value in row]


def dot(a: torch.Tensor, b: torch.Tensor) -> float:
    return sum(float(x) * float(y) for x, y in zip(a, b, strict=True))


def naive_labels(gallery: torch.Tensor, temperature: float, alpha: float) -> list[list[float]]:
    rows = []
    for j in range(B):
        same = [1.0 if LABELS[j] == LABELS[k] else 0.0 for k in range(B)]
        alike = softmax([dot(gallery[j], gallery[k]) / temperature for k in range(B)])
        rows.append([alpha * alike[k] + (1 - alpha) * same[k] / sum(same) for k in range(B)])
    return rows


@pytest.mark.parametrize("alpha", [0.0, 0.2, 1.0])
def test_soft_labels(embeddings: dict[str, torch.Tensor], alpha: float) -> None:
    ours = soft_labels(embeddings["gallery"], LABELS, 0.07, alpha)
    naive = torch.tensor(naive_labels(embeddings["gallery"], 0.07, alpha), dtype=torch.float64)
    torch.testing.assert_close(ours, naive, atol=1e-12, rtol=0)
    torch.testing.assert_close(ours.sum(-1), torch.ones(B, dtype=torch.float64))


def test_graded_labels_are_proportional_to_the_relevance(
    embeddings: dict[str, torch.Tensor],
) -> None:
    relevance = torch.eye(B, dtype=torch.float64)
    relevance[0, 1], relevance[2, 0] = 0.5, 0.25
    ours = soft_labels(embeddings["gallery"], LABELS, alpha=0, relevance=relevance)
    assert ours[0].tolist() == pytest.approx([2 / 3, 1 / 3, 0, 0, 0, 0, 0])
    assert ours[2].tolist() == pytest.approx([0.2, 0, 0.8, 0, 0, 0, 0])
    equal = (LABELS[:, None] == LABELS[None, :]).double()
    torch.testing.assert_close(
        contrastive_loss(embeddings["query"], embeddings["gallery"], LABELS, relevance=equal),
        contrastive_loss(embeddings["query"], embeddings["gallery"], LABELS),
    )


def test_attribute_loss_leaves_out_what_does_not_apply() -> None:
    logits = [torch.randn(3, 4), torch.randn(3, 2), torch.randn(3, 5)]
    labels = torch.tensor([[1, 0, -100], [NOT_APPLICABLE, 1, -100], [3, NOT_APPLICABLE, -100]])
    expected = 0.0
    for weight, scores, rows, classes in (
        (2, logits[0], (0, 2), (1, 3)),
        (1, logits[1], (0, 1), (0, 1)),
    ):
        for row, label in zip(rows, classes, strict=True):
            chances = softmax(scores[row].tolist())
            wanted = [0.1 / len(chances)] * len(chances)
            wanted[label] += 0.9
            expected -= (
                weight
                * sum(w * math.log(p) for w, p in zip(wanted, chances, strict=True))
                / len(rows)
            )
    loss = attribute_loss(logits, labels, [2, 1, 1])
    assert float(loss) == pytest.approx(expected / 4, rel=1e-5)


@pytest.mark.parametrize("alpha", [0.0, 0.2])
def test_contrastive_loss(embeddings: dict[str, torch.Tensor], alpha: float) -> None:
    query, gallery = embeddings["query"], embeddings["gallery"]
    wanted = naive_labels(gallery, 0.07, alpha)
    total = 0.0
    for j in range(B):
        answer = softmax([dot(query[j], gallery[k]) / 0.07 for k in range(B)])
        total -= sum(wanted[j][k] * math.log(answer[k]) for k in range(B))
    ours = contrastive_loss(query, gallery, LABELS, 0.07, alpha)
    assert float(ours) == pytest.approx(total / B, abs=1e-10)


@pytest.mark.parametrize("gce_q", [0.4, 1.0])
def test_generalised_cross_entropy(embeddings: dict[str, torch.Tensor], gce_q: float) -> None:
    query, gallery = embeddings["query"], embeddings["gallery"]
    wanted = naive_labels(gallery, 0.07, 0.2)
    total = 0.0
    for j in range(B):
        answer = softmax([dot(query[j], gallery[k]) / 0.07 for k in range(B)])
        total += sum(wanted[j][k] * (1 - answer[k] ** gce_q) / gce_q for k in range(B))
    ours = contrastive_loss(query, gallery, LABELS, 0.07, 0.2, gce_q)
    assert float(ours) == pytest.approx(total / B, abs=1e-10)


def test_a_tiny_q_gives_the_papers_loss(embeddings: dict[str, torch.Tensor]) -> None:
    query, gallery = embeddings["query"], embeddings["gallery"]
    papers = contrastive_loss(query, gallery, LABELS)
    assert float(contrastive_loss(query, gallery, LABELS, gce_q=1e-6)) == pytest.approx(
        float(papers), rel=1e-4
    )


def test_a_larger_q_lowers_the_weight_of_improbable_targets() -> None:
    gallery = torch.eye(3, dtype=torch.float64)
    query = torch.tensor([[1.0, 0, 0], [0, 0.8, 0.6], [1.0, 0, 0]], dtype=torch.float64)  # 3 wrong

    def pull(gce_q: float) -> list[float]:
        moved = query.clone().requires_grad_()
        contrastive_loss(moved, gallery, torch.arange(3), 0.2, 0.0, gce_q).backward()
        assert moved.grad is not None
        return moved.grad.norm(dim=-1).tolist()

    plain, robust = pull(0.0), pull(0.7)
    assert robust[2] / robust[1] < plain[2] / plain[1] / 3


def test_soft_labels_pass_the_gradient(embeddings: dict[str, torch.Tensor]) -> None:
    gallery = embeddings["gallery"].clone().requires_grad_()
    soft_labels(gallery, LABELS)[0, 1].backward()
    assert gallery.grad is not None
    assert gallery.grad.abs().sum() > 0


def test_mutual_loss(embeddings: dict[str, torch.Tensor]) -> None:
    q, g, tq, tg = embeddings.values()
    total = 0.0
    for j in range(B):
        student = softmax([10 * dot(q[j], g[k]) for k in range(B)])
        teacher = softmax([10 * dot(tq[j], tg[k]) for k in range(B)])
        total += sum(t * math.log(t / s) for t, s in zip(teacher, student, strict=True))
    assert float(mutual_loss(q, g, tq, tg)) == pytest.approx(total / B, abs=1e-10)


def test_mutual_loss_is_zero_between_equals_and_leaves_the_teacher_alone(
    embeddings: dict[str, torch.Tensor],
) -> None:
    q, g, tq, tg = (value.clone().requires_grad_() for value in embeddings.values())
    assert float(mutual_loss(q, g, q, g)) == pytest.approx(0, abs=1e-12)
    mutual_loss(q, g, tq, tg).backward()
    assert q.grad is not None
    assert tq.grad is None
    assert tg.grad is None


def test_image_text_loss(embeddings: dict[str, torch.Tensor]) -> None:
    images, texts = embeddings["query"], embeddings["gallery"]
    total = 0.0
    for j in range(B):
        total -= math.log(softmax([9 * dot(images[j], texts[k]) for k in range(B)])[j]) / (2 * B)
        total -= math.log(softmax([9 * dot(texts[j], images[k]) for k in range(B)])[j]) / (2 * B)
    ours = image_text_loss(images, texts, torch.tensor(9.0, dtype=torch.float64))
    assert float(ours) == pytest.approx(total, abs=1e-10)


def test_weight_loss() -> None:
    own, teacher = [0.2, 0.9, 1.0, 0.5], [0.3, 0.6, 1.0, 0.0]  # the last two lack a modality
    total = 0.0
    for w, t in list(zip(own, teacher, strict=True))[:2]:
        total += t * math.log(t / w) + (1 - t) * math.log((1 - t) / (1 - w))
    ours = weight_loss(column(own), column(teacher))
    assert float(ours) == pytest.approx(total / 2, abs=1e-10)


def test_weight_loss_detaches_the_teacher_and_allows_weights_of_0_and_1() -> None:
    own = torch.tensor([[1.0], [0.0], [0.5]], requires_grad=True)
    teacher = torch.tensor([[0.5], [0.5], [0.5]], requires_grad=True)
    weight_loss(own, teacher).backward()
    assert teacher.grad is None
    assert own.grad is not None
    assert own.grad.isfinite().all()
    assert float(weight_loss(teacher, teacher)) == pytest.approx(0, abs=1e-7)


def test_weight_loss_is_zero_where_no_query_has_both_modalities() -> None:
    assert float(weight_loss(column([1.0, 0.0]), column([1.0, 0.0]))) == 0.0


def column(weights: list[float]) -> torch.Tensor:
    return torch.tensor(weights, dtype=torch.float64)[:, None]


def test_the_order_of_weights_is_taught_and_not_their_level():
    weights = torch.tensor([[0.3], [0.6], [0.4], [0.5], [1.0]], requires_grad=True)
    shares = torch.tensor([0.3, 0.9, 0.6, float("nan"), 0.4])
    loss = share_loss(weights, shares)
    known = np.corrcoef([0.3, 0.6, 0.4], [0.3, 0.9, 0.6])[0, 1]
    assert float(loss) == pytest.approx(1 - known, abs=1e-6)
    loss.backward()
    gradient = weights.grad[:, 0]
    assert gradient[3:].tolist() == [0.0, 0.0]  # an unknown share, and a query without text
    assert float(gradient.sum()) == pytest.approx(0, abs=1e-6)  # the level is left alone
    assert float(gradient[2]) < 0  # this weight lies below the line through the others
    linear = 0.2 + 0.1 * shares[:, None].nan_to_num(0.5)
    assert float(share_loss(linear, shares)) == pytest.approx(0, abs=1e-6)
    assert float(share_loss(linear.flip(0), shares.flip(0))) == pytest.approx(0, abs=1e-6)
    assert float(share_loss(weights.detach(), torch.full((5,), float("nan")))) == 0
    same = torch.full((5, 1), 0.5, requires_grad=True)
    share_loss(same, shares).backward()
    assert same.grad.isfinite().all()
