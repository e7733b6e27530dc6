"""Verification of all files of a study: which files must exist, and their inputs."""

import json
import math
from functools import partial
from pathlib import Path
from typing import Any

from gensis.artifacts.tables import table_rows
from gensis.diffusion import AUTOENCODER_RECIPE
from gensis.diffusion import RECIPE as DIFFUSION_RECIPE
from gensis.images.embeddings import current_parts, part_count
from gensis.settings import Study, stage_json
from gensis.settings.evaluation import Evaluation
from gensis.ssl import RECIPE as ENCODER_RECIPE
from gensis.verification import stated
from gensis.verification.bank import check_filter, check_quality, check_shard, check_sources
from gensis.verification.embeddings import check_features, check_parts, embeddings_content
from gensis.verification.evaluation import Subject, check_evaluation, check_result, check_summary
from gensis.verification.findings import Findings
from gensis.verification.images import Images
from gensis.verification.origins import Inputs, Origins
from gensis.verification.report import check_config, check_report
from gensis.verification.trained import check_folder

VAE_WEIGHTS = "diffusion_pytorch_model.safetensors"
BLOCKS = "blocks"


def verify(study: Study, run: Path, images: Path) -> list[str]:
    """Check a finished study.

    Args:
        study: the study of the config.
        run: its folder, `results/<run>`.
        images: the folder of its data sets.

    Returns:
        A line for each file that is missing, damaged, or made from other inputs or with other settings.
    """
    return _Verification(study, run, images).lines()


class _Verification:
    def __init__(self, study: Study, run: Path, images: Path):
        self.study, self.run, self.images = study, run, images
        self.findings = Findings()
        self.origins = Origins(self.findings)
        self.both = {"findings": self.findings, "origins": self.origins}
        self.trained_on = study.pretraining.dataset if study.pretraining else None
        self.train = {"train": self.table(self.trained_on, "train")} if self.trained_on else {}
        self.datasets: dict[str, Images] = {}
        self.embedded: dict[tuple[str, str, int, str], dict[str, str]] = {}
        """Encoder, data set, seed and subfolder: content id of each unit's embeddings."""

    def lines(self) -> list[str]:
        check_config(self.run / "config.yaml", self.study.resolved(), self.findings)
        for name in self.study.used_datasets:
            self.datasets[name] = Images(self.images / name, name == self.trained_on, self.findings)
            self.datasets[name].check_stores(self.settings(f"datasets/{name}"), self.origins)
        for seed in self.study.seeds:
            self.check_encoders(seed)
        self.check_external_encoders()
        for encoder in (*self.encoders, *self.study.untrained):
            for seed in self.study.stored_seeds(encoder):
                for dataset in self.study.used_datasets:
                    self.check_embeddings(encoder, dataset, seed)
        generated = [(bank, seed) for bank, seed in self.banks() if self.study.banks[bank].is_generated]
        for encoder, seed in dict.fromkeys((self.study.banks[bank].encoder, seed) for bank, seed in generated):
            self.check_diffusion(encoder, seed)
        for bank, seed in self.banks():
            self.check_bank(bank, seed)
        check_summary(self.run / "summary.csv", self.check_evaluations(), self.findings)
        check_report(self.run, self.findings)
        self.origins.compare_tables()
        for images in self.datasets.values():
            images.check_tables()
        self.origins.compare_others()
        self.check_units()
        return self.findings.lines()

    @property
    def encoders(self) -> tuple[str, ...]:
        return (*self.study.trained_encoders, *self.study.encoders)

    @property
    def evaluated(self) -> list[str]:
        return [name for name in self.study.evaluation.datasets if self.has_results(name, "*")]

    @property
    def labelled(self) -> list[str]:
        return [name for name in self.datasets if _has_lines(self.images / name / "labels.tsv")] + self.evaluated

    def has_results(self, dataset: str, task: str) -> bool:
        """Whether a data set has results: data sets without labels are in the config, but are not evaluated."""
        return any(self.run.glob(f"evaluation/*/{dataset}/seed*/{task}.json"))

    def banks(self) -> list[tuple[str, int]]:
        return [(bank, seed) for bank in self.study.banks for seed in self.study.bank_seeds(bank)]

    def settings(self, stage: str) -> dict[str, Any]:
        return json.loads(stage_json(self.study, stage))

    def table(self, dataset: str, name: str) -> tuple[Path, str | None]:
        path = self.images / dataset / f"{name}.tsv"
        return path, stated.table(path)

    def encoder_folder(self, encoder: str, seed: int) -> Path:
        return self.run / f"encoders/{encoder}/seed{self.study.stored_seed(encoder, seed)}"

    def encoder_input(self, name: str, encoder: str, seed: int) -> Inputs:
        folder = self.encoder_folder(encoder, seed)
        return {name: (folder / "model.safetensors", stated.weights(folder))}

    def weights_input(self, encoder: str, seed: int) -> Inputs:
        """The weights that an embedding is made with, if the encoder has any."""
        return {} if encoder in self.study.untrained else self.encoder_input("encoder", encoder, seed)

    def check_encoders(self, seed: int) -> None:
        for name in self.study.trained_encoders:
            training = self.study.training_settings(name)
            inputs = dict(self.train)
            if training.init:
                inputs |= self.encoder_input("init", training.init, seed)
                if training.continued:
                    start = self.encoder_folder(training.init, seed)
                    inputs["init_config"] = start / "config.json", stated.file_of(start, "config.json")
            if bank := getattr(training, "bank", None):
                made_for = self.study.banks[bank].seed
                inputs |= self.bank_input(bank, seed if made_for is None else made_for)
            folder, settings = self.encoder_folder(name, seed), self.settings(f"encoders/{name}")
            check_folder(folder, settings, seed=seed, recipe=ENCODER_RECIPE, inputs=inputs, **self.both)

    def check_external_encoders(self) -> None:
        for name in self.study.encoders:
            folder, settings = self.encoder_folder(name, self.study.seeds[0]), self.settings(f"encoders/{name}")
            check_folder(folder, settings, seed=None, recipe=None, inputs={}, **self.both)

    def embeddings_folder(self, encoder: str, dataset: str, seed: int) -> Path:
        return self.run / f"embeddings/{encoder}/{dataset}/seed{self.study.stored_seed(encoder, seed)}"

    def parts(self, encoder: str, dataset: str, seed: int, below: str = "") -> list[Path]:
        units = [self.datasets[dataset].units(split) for split in ("train", "test")]
        size = self.study.embedding.units_per_part
        count = math.inf if None in units else part_count(map(len, units), size)
        return current_parts(self.embeddings_folder(encoder, dataset, seed) / below, count)

    def check_embeddings(self, encoder: str, dataset: str, seed: int) -> None:
        weights = self.weights_input(encoder, seed)
        settings = self.settings(f"embedding/{encoder}")
        for below in ("", *self.otherwise(dataset)):
            parts = self.parts(encoder, dataset, seed, below)
            found = check_parts(parts, settings, seed=seed, images=self.datasets[dataset], encoder=weights, **self.both)
            self.embedded[encoder, dataset, seed, below] = found
        folder = self.run / f"features/{encoder}/{dataset}/seed{seed}"
        selected = self.datasets[dataset].selected()
        check_features(folder, self.parts(encoder, dataset, seed), selected, self.findings)

    def otherwise(self, dataset: str) -> list[str]:
        """Subfolders with further embeddings of the same images: corrupted, and of an encoder's last blocks."""
        evaluation = self.study.evaluation
        blocks = [BLOCKS] if "last_blocks" in evaluation.further_inputs else []
        return [*evaluation.corruption_names, *blocks] if dataset in self.evaluated else []

    def wanted(self, encoder: str, dataset: str, below: str) -> list[str] | None:
        """Units that must be embedded, in order; None if they are not known."""
        images = self.datasets[dataset]
        if below and below != BLOCKS:
            return images.units("test") or images.units("train", "test")
        if dataset in self.evaluated:
            return images.units("train", "test")
        measured_by = {bank.encoder for bank in self.study.banks.values()} | {self.study.evaluation.judge}
        return images.units("train") if dataset == self.trained_on and encoder in measured_by else []

    def check_units(self) -> None:
        """Check that no unit lacks embeddings, and that the sources of banks are training images."""
        for (encoder, dataset, seed, below), found in self.embedded.items():
            parts = self.parts(encoder, dataset, seed, below)
            missing = [unit for unit in self.wanted(encoder, dataset, below) or [] if unit not in found]
            if missing and not any(path in self.findings for path in parts):
                folder = self.embeddings_folder(encoder, dataset, seed) / below
                more = f" and {len(missing) - 1} more units" if len(missing) > 1 else ""
                self.findings.add(folder, f"has no embeddings of {missing[0]}{more}")
        for bank, seed in self.banks():
            if (train_counts := self.datasets[self.trained_on].learnt_from()) is not None:
                for path in self.shards(bank, seed):
                    check_sources(path, sum(train_counts.values()), self.findings)

    def embeddings_input(self, encoder: str, seed: int) -> Inputs:
        """The embeddings of the training images."""
        stored_seed = self.study.stored_seed(encoder, seed)
        contents, images = self.embedded[encoder, self.trained_on, stored_seed, ""], self.datasets[self.trained_on]
        path = self.embeddings_folder(encoder, self.trained_on, seed)
        return {"embeddings": (path, lambda: embeddings_content(contents, images.learnt_from()))}

    def check_diffusion(self, encoder: str, seed: int) -> None:
        inputs = self.train | self.embeddings_input(encoder, seed)
        mode = self.study.autoencoder_mode
        if mode == "train":
            folder = self.run / f"autoencoder/seed{seed}"
            is_perceptual = self.study.autoencoder_training.perceptual_weight > 0
            judge = self.encoder_input("encoder", self.study.baseline, seed) if is_perceptual else {}
            made_from = {"recipe": AUTOENCODER_RECIPE, "inputs": self.train | judge}
            check_folder(folder, self.settings("autoencoder"), seed=seed, **made_from, **self.both)
            inputs["autoencoder"] = folder / VAE_WEIGHTS, stated.of_whole(folder, "config.json", VAE_WEIGHTS)
        elif mode != "none":
            inputs["autoencoder"] = Path(mode), None  # external weights, of which the pipeline includes a copy
        folder = self.run / f"diffusion/{encoder}/seed{seed}"
        check_folder(folder, self.settings("diffusion"), seed=seed, recipe=DIFFUSION_RECIPE, inputs=inputs, **self.both)

    def shards(self, bank: str, seed: int) -> list[Path]:
        folder = self.run / f"bank/{bank}/seed{seed}"
        numbers = range(self.study.banks[bank].shards)
        return [folder / f"{kind}-{number:04d}.h5" for kind in ("generative", "interpolated") for number in numbers]

    def bank_input(self, bank: str, seed: int) -> Inputs:
        """The shards of a bank, and their filters."""
        shards = self.shards(bank, seed)
        inputs = {path.stem: (path, stated.store(path)) for path in shards}
        if self.study.banks[bank].filter:
            inputs |= {
                f"filter/{path.stem}": (path.parent / "filter" / path.name, stated.bank_filter(path)) for path in shards
            }
        return inputs

    def check_bank(self, bank: str, seed: int) -> None:
        settings, encoder = self.study.banks[bank], self.study.banks[bank].encoder
        of_encoder = self.encoder_input("encoder", encoder, seed)
        diffusion = self.run / f"diffusion/{encoder}/seed{seed}"
        of_diffusion = {"diffusion": (diffusion / "denoiser" / VAE_WEIGHTS, stated.weights(diffusion))}
        of_diffusion = of_diffusion if settings.is_generated else {}
        training = self.train | self.embeddings_input(encoder, seed)
        made_from = self.train if settings.kind == "sources" else training | of_diffusion
        for path in self.shards(bank, seed):
            check_shard(path, self.settings(f"banks/{bank}"), seed=seed, inputs=made_from, **self.both)
            if settings.filter:
                inputs = training | of_encoder | {path.stem: (path, stated.store(path))}
                check_filter(path, self.settings(f"filters/{bank}"), seed=seed, inputs=inputs, **self.both)
        inputs = training | of_encoder | of_diffusion | self.bank_input(bank, seed)
        for table in ("units", *(["labels"] if self.trained_on in self.labelled else [])):
            inputs[table] = self.table(self.trained_on, table)
        if judge := self.study.evaluation.judge:
            inputs |= self.encoder_input("judge", judge, seed)
            inputs["judge_embeddings"] = self.embeddings_input(judge, seed)["embeddings"]
        measured = Evaluation.model_validate(self.settings("bank_quality"))
        path = self.run / f"bank/{bank}/seed{seed}/quality.json"
        made_with = {"bank": self.settings(f"banks/{bank}"), "evaluation": measured.model_dump(mode="json")}
        check_quality(path, made_with, seed=seed, inputs=inputs, **self.both)

    def check_evaluations(self) -> dict[Subject, dict[str, Any] | None]:
        results: dict[Subject, dict[str, Any] | None] = {}
        for dataset in self.evaluated:
            targets = ["targets"] if getattr(self.study.datasets[dataset], "targets", {}) else []
            tables = {name: self.table(dataset, name) for name in ("units", "labels", *targets)}
            for path, _ in tables.values():
                with self.findings.reading(path):
                    path.stat()
            tasks = list(self.study.evaluation.image_tasks)
            of_slides = self.study.slide_tasks
            # There are none if only tiles have labels, from annotations.
            if any(self.has_results(dataset, task) for task in of_slides):
                tasks += of_slides
            for encoder in (*self.encoders, *self.study.untrained):
                for seed in self.study.seeds:
                    folder = self.run / f"evaluation/{encoder}/{dataset}/seed{seed}"
                    inputs = tables | self.measured(encoder, dataset, seed)
                    results |= check_evaluation(folder, tasks, study=self.study, inputs=inputs, **self.both)
        for transfer in self.study.evaluation.transfer:
            for tested, result in transfer.results.items():
                if self.has_results(result, "*"):
                    results |= self.check_transfer(transfer.fit, tested, result)
        for name in self.study.evaluation.benchmarks:
            results |= self.check_benchmark(name)
        return results

    def check_benchmark(self, name: str) -> dict[Subject, dict[str, Any] | None]:
        settings, results = self.settings(f"benchmarks/{name}"), {}
        files = {"benchmark": (Path(settings["path"]), None)}  # too many to be read again
        for encoder in (name for name in (*self.encoders, *self.study.untrained) if name != "pixels"):
            for seed in self.study.seeds:
                path = self.run / f"evaluation/{encoder}/{name}/seed{seed}/{settings['task']}.json"
                inputs = files | self.weights_input(encoder, seed)
                results |= check_result(path, settings, inputs=inputs, **self.both)
        return results

    def check_transfer(self, fit: str, tested: str, result: str) -> dict[Subject, dict[str, Any] | None]:
        results: dict[Subject, dict[str, Any] | None] = {}
        tables = {name: self.table(tested, name) for name in ("units", "labels")}
        tables |= {f"fit_{name}": self.table(fit, name) for name in ("units", "labels")}
        tasks = list(self.study.evaluation.transfer_tasks)
        of_slides = self.study.evaluation.slide_transfer_tasks
        if any(self.has_results(result, task) for task in of_slides):
            tasks += of_slides
        for encoder in (*self.encoders, *self.study.untrained):
            for seed in self.study.seeds:
                inputs = tables | {"embeddings": self.measured(encoder, tested, seed)["embeddings"]}
                inputs |= {"fit_embeddings": self.measured(encoder, fit, seed)["embeddings"]}
                folder = self.run / f"evaluation/{encoder}/{result}/seed{seed}"
                results |= check_evaluation(folder, tasks, study=self.study, inputs=inputs, **self.both)
        return results

    def measured(self, encoder: str, dataset: str, seed: int) -> Inputs:
        """The embeddings that an evaluation uses."""
        kinds = {"embeddings": [""], "corrupted": self.study.evaluation.corruption_names}
        kinds["last_blocks"] = [BLOCKS] if "last_blocks" in self.study.evaluation.further_inputs else []
        folder, stored_seed = self.embeddings_folder(encoder, dataset, seed), self.study.stored_seed(encoder, seed)

        def content(kind: str) -> str | None:
            wanted = [(below, unit) for below in kinds[kind] for unit in self.wanted(encoder, dataset, below) or [""]]
            contents = {
                (below, unit): stated
                for below in kinds[kind]
                for unit, stated in self.embedded[encoder, dataset, stored_seed, below].items()
            }
            return embeddings_content(contents, wanted)

        return {kind: (folder, partial(content, kind)) for kind, folders in kinds.items() if folders}


def _has_lines(table: Path) -> bool:
    """Whether a table of labels has lines; an export writes one without lines for images that have no labels."""
    try:
        return any(table_rows(table))
    except OSError:
        return False
    except ValueError:  # damaged, which is reported where it is read
        return True
