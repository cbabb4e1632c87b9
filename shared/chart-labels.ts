/** Where the labels of a chart go: direct labels beside the lines they name, moved apart where they would touch. Pure. */

export interface PlacedLabel {
  readonly x: number;
  /** Baseline. */
  readonly y: number;
  readonly text: string;
  readonly tone: string;
}

/** Widths in DejaVu Sans relative to the font size: narrow, wide and all other characters. Good to a few percent. */
export function textWidth(text: string, size: number): number {
  let width = 0;
  for (const character of text) {
    if (/[il.,:;'|!ftjrI()[\] -]/.test(character)) width += 0.38;
    else if (/[mwMW@%]/.test(character)) width += 0.92;
    else if (/[A-Z]/.test(character)) width += 0.68;
    else if (character.codePointAt(0)! > 0x2e80) width += 1;
    else width += 0.62;
  }
  return width * size;
}

export interface LabelArea {
  readonly top: number;
  readonly bottom: number;
  readonly lineHeight: number;
}

/** Keeps the vertical order, moves labels down until none touches the one above, then back up where the area ends. */
export function placeLabels(labels: readonly PlacedLabel[], { top, bottom, lineHeight }: LabelArea): PlacedLabel[] {
  const placed = [...labels].sort((a, b) => a.y - b.y).map((label) => ({ ...label, y: Math.min(Math.max(label.y, top), bottom) }));
  for (let index = 1; index < placed.length; index++) {
    const [above, label] = [placed[index - 1]!, placed[index]!];
    if (touches(above, label) && label.y < above.y + lineHeight) label.y = above.y + lineHeight;
  }
  let floor = bottom;
  for (const label of placed.reverse()) {
    if (label.y > floor) label.y = floor;
    if (label.y > floor - lineHeight) floor = label.y - lineHeight;
  }
  return placed.reverse();
}

function touches(a: PlacedLabel, b: PlacedLabel): boolean {
  return a.x < b.x + textWidth(b.text, 13) && b.x < a.x + textWidth(a.text, 13);
}
