"""Every recurrent dropout method on real data, with a progress bar.

    python examples/forecast.py [--epochs 20] [--seeds 3]

An LSTM predicts how tomorrow's maximum temperature in Seattle differs from
today's, from the last ten days. All methods start from the same weights and
see the same batches; the table shows the mean and the range over seeds. Three
seeds show how to use the methods, not which one is best.
"""

import argparse

import keras
import numpy as np

import dropkit as dk

METHODS = {
    "none": 0.0,
    "Keras's float": 0.3,
    "Gal": dk.Gal(0.3),
    "Gal, Gaussian": dk.Gal(0.3, noise="gaussian"),
    "Gal, one draw a batch": dk.Gal(0.3, per="batch"),
    "Semeniuta": dk.Semeniuta(0.3),
    "Moon": dk.Moon(0.3),
    "Zoneout": dk.Zoneout(hidden=0.05, cell=0.3),
    "WeightDrop": dk.WeightDrop(0.3),
    "naive, per step": dk.Gal(0.3, over="step"),
}


def losses(method, data, seed: int, epochs: int, after_epoch) -> list[float]:
    """Held-out losses after each epoch."""
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            keras.Input(data.x_train.shape[1:]),
            dk.LSTM(32, recurrent_dropout=method, seed=seed),
            keras.layers.Dense(1),
        ]
    )
    model.compile("adam", "mse")
    history = model.fit(
        data.x_train,
        data.y_train,
        batch_size=64,
        epochs=epochs,
        validation_data=(data.x_held_out, data.y_held_out),
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=after_epoch)],
        verbose=0,
    )
    return history.history["val_loss"]


def main(arguments=None) -> dict[str, np.ndarray]:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args(arguments)
    data = dk.data.seattle_weather().windows()
    bar = keras.utils.Progbar(
        len(METHODS) * options.seeds * options.epochs, unit_name="epoch"
    )
    results = {
        name: np.array(
            [
                losses(
                    method, data, seed, options.epochs, lambda *_: bar.add(1)
                )
                for seed in range(options.seeds)
            ]
        )
        for name, method in METHODS.items()
    }
    print(f'\n"No change" as the forecast: {data.persistence:.3f}')
    print(f"{'held-out loss':24}{'last epoch':>20}{'best epoch':>20}")
    for name, values in results.items():
        ends = values[:, -1], values.min(axis=1)
        texts = [f"{v.mean():.3f} ({v.min():.3f}-{v.max():.3f})" for v in ends]
        print(f"{name:24}{texts[0]:>20}{texts[1]:>20}")
    return results


if __name__ == "__main__":
    main()
