// What the page has no use for, and its libraries import all the same; for prettier in the worker, nothing at all.

export class DiffEditorWidget {}
export class MultiDiffEditorWidget {}
