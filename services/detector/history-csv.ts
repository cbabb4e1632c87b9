/** Splits one CSV line (RFC 4180 quoting within the line) without building arrays: files have millions of them. */

const QUOTE = 34;

export interface CsvLines {
  split(line: string): string[];
  /** Calls `onCell` for the cells of wanted columns; returns how many cells the line has. */
  scan<Column>(line: string, columns: readonly (Column | undefined)[], onCell: (column: Column, cell: string) => void): number;
}

export function createCsvLines(): CsvLines {
  const scan: CsvLines['scan'] = (line, columns, onCell) => {
    let cells = 0;
    let start = 0;
    while (start <= line.length) {
      let end: number;
      let cell: string | undefined;
      const column = columns[cells];
      if (line.charCodeAt(start) === QUOTE) {
        const close = closingQuote(line, start + 1);
        cell = line.slice(start + 1, close).replaceAll('""', '"');
        end = line.indexOf(',', close);
      } else {
        end = line.indexOf(',', start);
      }
      if (end === -1) end = line.length;
      if (column !== undefined) onCell(column, cell ?? line.slice(start, end).trim());
      cells += 1;
      start = end + 1;
    }
    return cells;
  };
  return {
    scan,
    split(line) {
      const cells: string[] = [];
      const every = new Array<true>(line.length + 1).fill(true);
      scan(line, every, (_, cell) => cells.push(cell));
      return cells;
    },
  };
}

function closingQuote(line: string, from: number): number {
  for (let at = line.indexOf('"', from); at !== -1; at = line.indexOf('"', at + 2)) {
    if (line.charCodeAt(at + 1) !== QUOTE) return at;
  }
  return line.length;
}
