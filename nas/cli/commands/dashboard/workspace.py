"""Workspace of W&B from the definition of the dashboard."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nas.cli.commands.dashboard.definition import COLUMNS, EPOCH, STEP, PanelSpec, SectionSpec
from nas.utils.errors import NasError

SMOOTHING = 0.6  # of curves of steps


def build_workspace(project: str, entity: str, name: str, sections: Sequence[SectionSpec]) -> Any:
    """Return the ``wandb_workspaces.workspaces.Workspace`` of a dashboard; nothing is sent.

    Raises:
        NasError: if wandb-workspaces is not installed.
    """
    try:
        from wandb_workspaces import workspaces
        from wandb_workspaces.reports import v2
    except ImportError:
        raise NasError(
            "dashboard: wandb-workspaces is not installed. Run pip install 'nas-compose[dashboard]', or use --print."
        ) from None
    return workspaces.Workspace(
        entity=entity,
        project=project,
        name=name,
        sections=[
            workspaces.Section(
                name=section.name,
                panels=[_panel(v2, spec) for spec in section.panels],
                is_open=position < 3,
                layout_settings=workspaces.SectionLayoutSettings(columns=3, rows=(len(section.panels) + 2) // 3),
            )
            for position, section in enumerate(sections)
        ],
        settings=workspaces.WorkspaceSettings(x_axis=EPOCH, max_runs=20),
        runset_settings=workspaces.RunsetSettings(pinned_columns=list(COLUMNS)),
    )


def _panel(v2: Any, spec: PanelSpec) -> Any:
    metrics = list(spec.metrics)
    if spec.kind == "media":
        return v2.MediaBrowser(title=spec.title, media_keys=metrics, num_columns=1, mode="gallery", gallery_axis="step")
    if spec.kind == "bar":
        return v2.BarPlot(title=spec.title, metrics=[v2.SummaryMetric(metric) for metric in metrics])
    options: dict[str, Any] = {"title": spec.title, "x": spec.axis, "y": metrics, "title_x": _axis_title(spec.axis)}
    if spec.limits is not None:
        options["range_y"] = spec.limits
    if spec.kind == "area":
        options["plot_type"] = "pct-area"
    if spec.pattern is not None:
        options["metric_regex"] = spec.pattern
    if spec.axis == STEP:
        options |= {"smoothing_type": "exponential", "smoothing_factor": SMOOTHING, "smoothing_show_original": True}
    return v2.LinePlot(**options)


def _axis_title(axis: str) -> str:
    return "step" if axis == STEP else axis
