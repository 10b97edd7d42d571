// What the page has no use for, and its libraries import all the same.

export class DiffEditorWidget {}
export class MultiDiffEditorWidget {}
