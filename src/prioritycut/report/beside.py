"""The paper's published numbers, drawn up like ours. They share a column only where nothing but the data differs."""

from __future__ import annotations

from prioritycut.report.layout import Layout, layouts
from prioritycut.report.merging import Column, Comparison
from prioritycut.report.paper import FRAME_SIZE, NAMES, PaperDataset, PaperTable, paper_tool, published, same_data
from prioritycut.report.tables import Group, Table, build_table
from prioritycut.results import Summary, better_end


def belongs_beside(dataset: PaperDataset, comparison: Comparison) -> bool:
    """Whether the paper's numbers may share a table with ours: the same data set at the same frame size."""
    return same_data(dataset, comparison.dataset) and comparison.size == FRAME_SIZE


def published_layouts(dataset: PaperDataset) -> tuple[Layout, ...]:
    """The layouts that hold all that was published on a data set."""
    return layouts(dict.fromkeys(key for table in published(dataset) for key in table.keys))


def published_groups(dataset: PaperDataset, layout: Layout) -> list[Group]:
    """A block for each of the paper's tables that has metrics of a layout."""
    return [_group(table, layout) for table in published(dataset) if not set(table.keys).isdisjoint(layout.keys)]


def published_table(name: str, dataset: PaperDataset, layout: Layout) -> Table | None:
    """The paper's numbers in a table of their own; `None` if it has none of the layout."""
    groups = published_groups(dataset, layout)
    if not groups:
        return None
    title = f"{layout.title}, published on {NAMES[dataset]}"
    return build_table(f"{name}-{layout.name}-published", title, "", layout, groups)


def with_published(layout: Layout, dataset: PaperDataset) -> Layout:
    """A layout widened by the metrics that only the paper has."""
    wanted = next((each for each in published_layouts(dataset) if each.name == layout.name), layout)
    widened = layouts(dict.fromkeys((*layout.keys, *wanted.keys)))
    return next(each for each in widened if each.name == layout.name)


def _group(table: PaperTable, layout: Layout) -> Group:
    columns = {key: Column(key, paper_tool(table.dataset, key)) for key in table.keys if key in layout.keys}
    return Group(
        title=f"Published, another copy of the data · Table {table.name}, {table.title}",
        methods=tuple(table.rows),
        details=("",) * len(table.rows),
        cells=tuple(
            {column: _summary(column, *table.value(method, key)) for key, column in columns.items()}
            for method in table.rows
        ),
        baseline=table.baseline,
        decimals={column: table.decimals[table.keys.index(key)] for key, column in columns.items()},
        end_decimals={},
    )


def _summary(column: Column, mean: float, ci95: float) -> Summary:
    return Summary(
        key=column.key,
        better=better_end(column.key),
        tool=column.tool,
        mean=mean,
        ci95=ci95,
        clip_low=None,
        clip_high=None,
        frames=0,
        clips=0,
        failures=0,
        skipped=0,
    )
