"""The losses, one pure function per equation. Latent vectors in, float32 scalars out.

Conventions: ``z_a``, ``z_b``, ``z_ab`` are D's latent vectors of content crops A, style crops B and translated
crops AB, [n, V] of any float dtype; all arithmetic is float32. ``delta_*`` are difference vectors from
:func:`pair_differences`, [p, V]. Every function returns a mean over its rows. Norms are sqrt(Σx² + ε), whose
gradient at the zero vector is 0 rather than NaN.

Reference: M. Pasini, "Style transfer with GANs on HD images", 2019 (equations LossD1 … LossG2); Amodio &
Krishnaswamy, "TraVeLGAN", CVPR 2019 (travel, anti-collapse); Mescheder et al., "Which Training Methods for GANs
do actually Converge?", ICML 2018 (R1); Tseng et al., "Regularizing Generative Adversarial Networks under Limited
Data", CVPR 2021 (LeCam); Wang et al., "Image Quality Assessment: From Error Visibility to Structural Similarity", 2004
(seam).
"""

from __future__ import annotations

import tensorflow as tf

#: Under the root of every norm: small against a squared latent length, large against float32 rounding.
EPSILON = 1e-8

#: Cells of the seam loss: about the width of a stroke.
_SEAM_CELL_PX = 16
#: Its C, the variance of what counts as nothing painted: 2 levels, of 2/255 each, as a distance in RGB.
_SEAM_FLOOR = (2 * 2 / 255) ** 2
#: Its δ: a step of 32 levels in tone counts as much as marks that have nothing in common.
_SEAM_STEP = 32 * 2 / 255


def norm(z: tf.Tensor) -> tf.Tensor:
    """Euclidean length of each row: [n, V] -> [n] float32."""
    return tf.sqrt(tf.reduce_sum(tf.square(tf.cast(z, tf.float32)), axis=-1) + EPSILON)


def pair_differences(z: tf.Tensor, *, rotations: int = 1) -> tf.Tensor:
    """Difference vectors of each row with the rows 1 … `rotations` places on, cyclically.

    [n, V] -> [rotations·n, V] float32. Every rotation of a batch gives a set of pairs for free.
    """
    z = tf.cast(z, tf.float32)
    return tf.concat([z - tf.roll(z, shift, axis=0) for shift in range(1, rotations + 1)], axis=0)


def style_realism(z_b: tf.Tensor) -> tf.Tensor:
    """LossD1 = ‖D(B)‖²: paintings belong at the origin."""
    return tf.reduce_mean(tf.square(norm(z_b)))


def translation_margin(z_ab: tf.Tensor, *, margin: float) -> tf.Tensor:
    """LossD2 = max(0, m − ‖D(AB)‖)²: translations belong at least m away from it."""
    return tf.reduce_mean(tf.square(tf.maximum(0.0, margin - norm(z_ab))))


def content_cosine(delta_a: tf.Tensor, delta_ab: tf.Tensor) -> tf.Tensor:
    """LossD3 = LossG2 = −cos(D(A1) − D(A2), D(AB1) − D(AB2)), in [-1, 1]; −1 for equal directions."""
    delta_a, delta_ab = tf.cast(delta_a, tf.float32), tf.cast(delta_ab, tf.float32)
    dot = tf.reduce_sum(delta_a * delta_ab, axis=-1)
    return -tf.reduce_mean(dot / (norm(delta_a) * norm(delta_ab)))


def translation_realism(z_ab: tf.Tensor) -> tf.Tensor:
    """LossG1 = ‖D(AB)‖²: G pulls its translations to the origin."""
    return tf.reduce_mean(tf.square(norm(z_ab)))


def travel(delta_a: tf.Tensor, delta_ab: tf.Tensor) -> tf.Tensor:
    """‖ΔD(A) − ΔD(AB)‖²: difference vectors keep their lengths too (TraVeLGAN)."""
    delta = tf.cast(delta_a, tf.float32) - tf.cast(delta_ab, tf.float32)
    return tf.reduce_mean(tf.reduce_sum(tf.square(delta), axis=-1))


def anti_collapse(delta_a: tf.Tensor, *, margin: float) -> tf.Tensor:
    """max(0, δ − ‖ΔD(A)‖)²: D must not map all contents to one vector (TraVeLGAN)."""
    return tf.reduce_mean(tf.square(tf.maximum(0.0, margin - norm(delta_a))))


def identity(b: tf.Tensor, g_b: tf.Tensor) -> tf.Tensor:
    """|G(B) − B|, a mean over pixels and channels: a painting is left as it is. Pictures in [-1, 1]."""
    return tf.reduce_mean(tf.abs(tf.cast(g_b, tf.float32) - tf.cast(b, tf.float32)))


def tones(a: tf.Tensor, ab: tf.Tensor, *, cell_px: int) -> tf.Tensor:
    """1 − r, r the correlation of the low-passed A and AB, in [0, 2].

    Both are averaged over `cell_px`² cells; r is Pearson's correlation over all cells of the whole batch, of Y, B − Y
    and R − Y each (Y the luma of ITU-R BT.601), then the mean of the three. What is dark among the crops stays dark
    among their translations, and what is blue stays the bluer; yet a palette may lie anywhere: r does not see an offset
    or a positive factor.

    Args:
        a, ab: pictures [n, h, w, 3] of any range; what is left of a side beyond whole cells is not looked at.
    """
    to_opponent = tf.constant([[0.299, -0.299, 0.701], [0.587, -0.587, -0.587], [0.114, 0.886, -0.114]])
    pooled = [
        tf.nn.avg_pool2d(tf.cast(x, tf.float32), cell_px, cell_px, "VALID") @ to_opponent for x in (a, ab)
    ]
    a, ab = (x - tf.reduce_mean(x, axis=[0, 1, 2]) for x in pooled)  # [n, h/cell, w/cell, 3]
    covariance, square_a, square_ab = (tf.reduce_mean(x, axis=[0, 1, 2]) for x in (a * ab, a * a, ab * ab))
    return 1.0 - tf.reduce_mean(covariance * tf.math.rsqrt(square_a * square_ab + EPSILON))


def seam(joined: tf.Tensor, in_one_piece: tf.Tensor) -> tf.Tensor:
    """1 − s + |Δμ|/δ: have AB of bare tiles and AB in one piece the same marks and tones? Pictures in [-1, 1].

    Both are means over all whole cells of 16×16 px (of the picture, where it is smaller). Marks are what differs from a
    cell's mean colour μ. s = (σ_xy + C) / √((σ_x² + C)·(σ_y² + C)), all three channels together, is their correlation,
    as in SSIM's term of structure, but with C so placed that a bare cell is like another bare one only. It asks *where*
    the marks of a tile are, not how strong they are. A difference of pixels is paid back by fading all that a tile
    cannot know, and skies went bare with it (docs/experiments.md). |Δμ| is the step between two tiles of an even sky.
    """
    cell = min(_SEAM_CELL_PX, *joined.shape[1:3])
    rows, cols = (side // cell for side in joined.shape[1:3])

    def cells(picture: tf.Tensor) -> tf.Tensor:
        whole_cells = tf.cast(picture, tf.float32)[:, : rows * cell, : cols * cell]
        return tf.reshape(whole_cells, [-1, rows, cell, cols, cell, whole_cells.shape[-1]])

    def of_cells(product: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(product, axis=[2, 4, 5]) / cell**2  # [n, rows, cols]

    x, y = cells(joined), cells(in_one_piece)
    mean_x, mean_y = (tf.reduce_mean(pixels, axis=[2, 4], keepdims=True) for pixels in (x, y))
    x, y = x - mean_x, y - mean_y
    spread = tf.sqrt((of_cells(x * x) + _SEAM_FLOOR) * (of_cells(y * y) + _SEAM_FLOOR))
    unlike = 1.0 - tf.reduce_mean((of_cells(x * y) + _SEAM_FLOOR) / spread)
    return unlike + tf.reduce_mean(tf.abs(mean_x - mean_y)) / _SEAM_STEP


def gradient_penalty(gradients: tf.Tensor) -> tf.Tensor:
    """R1 = ½‖∇ₓ‖D(x)‖²‖² at real crops; `gradients` [n, h, w, 3]."""
    squares = tf.square(tf.cast(gradients, tf.float32))
    return 0.5 * tf.reduce_mean(tf.reduce_sum(squares, axis=[1, 2, 3]))


def lecam(z_b: tf.Tensor, z_ab: tf.Tensor, *, mean_b: tf.Tensor, mean_ab: tf.Tensor) -> tf.Tensor:
    """(‖D(B)‖ − α_AB)² + (‖D(AB)‖ − α_B)², α the running means of the *other* side's norms."""
    return tf.reduce_mean(tf.square(norm(z_b) - mean_ab)) + tf.reduce_mean(tf.square(norm(z_ab) - mean_b))


def effective_rank(delta: tf.Tensor) -> tf.Tensor:
    """Participation ratio (Σλ)² / Σλ² of the Gram matrix of `delta` [p, V]: 1 … min(p, V).

    λ are the eigenvalues; the ratio needs only traces. 1 means that all differences lie on one line, the
    sign of a collapsed D. The zero matrix gives 0.
    """
    delta = tf.cast(delta, tf.float32)
    gram = tf.matmul(delta, delta, transpose_b=True)  # [p, p]
    return tf.math.divide_no_nan(tf.square(tf.linalg.trace(gram)), tf.reduce_sum(tf.square(gram)))
