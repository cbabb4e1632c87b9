/** Slack's documented limits on blocks, as the stand-in enforces them. Each function says what Slack would answer. */

interface TextObject {
  readonly type?: string;
  readonly text?: string;
}

interface FakeBlock {
  readonly type?: string;
  readonly block_id?: string;
  readonly text?: TextObject;
  readonly fields?: readonly TextObject[];
  readonly elements?: readonly {
    readonly type?: string;
    readonly text?: TextObject | string;
    readonly url?: string;
    readonly action_id?: string;
  }[];
  readonly slack_file?: { readonly id?: string; readonly url?: string };
  readonly image_url?: string;
  readonly alt_text?: string;
}

export type FileState = 'processing' | 'ready' | 'not-an-image' | undefined;

const length = (text: TextObject | string | undefined): number => (typeof text === 'string' ? text : (text?.text ?? '')).length;
const MOST_CHARACTERS = 13_200;

function imageProblem(block: FakeBlock, fileState: (id: string) => FileState): string | undefined {
  const { slack_file: file, image_url: url, alt_text: alt } = block;
  if (alt === undefined || alt === '' || alt.length > 2000) return 'alt_text';
  if ((file === undefined) === (url === undefined)) return 'either image_url or slack_file';
  if (file === undefined) return undefined;
  if ((file.id === undefined) === (file.url === undefined)) return 'slack_file takes id or url';
  if (file.id !== undefined && !/^F[A-Z0-9]{8,}$/.test(file.id)) return 'slack_file/id does not match ^F[A-Z0-9]{8,}$';
  return fileState(file.id ?? '') === 'ready' ? undefined : 'invalid slack file';
}

function blockProblem(block: FakeBlock, fileState: (id: string) => FileState): string | undefined {
  if ((block.block_id ?? '').length > 255) return 'block_id';
  switch (block.type) {
    case 'header':
      return block.text?.type === 'plain_text' && length(block.text) >= 1 && length(block.text) <= 150 ? undefined : 'header text';
    case 'section': {
      if (block.text === undefined && block.fields === undefined) return 'section without text or fields';
      if (block.text !== undefined && (length(block.text) < 1 || length(block.text) > 3000)) return 'section text';
      const fields = block.fields ?? [];
      if (block.fields !== undefined && (fields.length < 1 || fields.length > 10)) return 'section fields';
      return fields.some((field) => length(field) < 1 || length(field) > 2000) ? 'section field' : undefined;
    }
    case 'context':
      if (block.elements === undefined || block.elements.length < 1 || block.elements.length > 10) return 'context elements';
      return block.elements.some((element) => length(element.text) < 1 || length(element.text) > 3000) ? 'context text' : undefined;
    case 'actions': {
      const elements = block.elements ?? [];
      if (elements.length < 1 || elements.length > 25) return 'actions elements';
      if (new Set(elements.map((element) => element.action_id)).size !== elements.length) return 'action_id is not unique';
      return elements.some((element) => length(element.text) < 1 || length(element.text) > 75 || (element.url ?? '').length > 3000)
        ? 'button'
        : undefined;
    }
    case 'image':
      return imageProblem(block, fileState);
    case 'divider':
      return undefined;
    default:
      return `unsupported type ${String(block.type)}`;
  }
}

export function blocksError(blocks: unknown, fileState: (id: string) => FileState): { error: string; detail: string } | undefined {
  if (!Array.isArray(blocks)) return { error: 'invalid_blocks', detail: 'not an array' };
  if (blocks.length > 50) return { error: 'invalid_blocks', detail: 'more than 50 blocks' };
  const ids = (blocks as FakeBlock[]).flatMap(({ block_id: id }) => (id === undefined ? [] : [id]));
  if (new Set(ids).size !== ids.length) return { error: 'invalid_blocks', detail: 'block_id is not unique' };
  for (const [index, block] of (blocks as FakeBlock[]).entries()) {
    const detail = blockProblem(block, fileState);
    if (detail !== undefined) return { error: 'invalid_blocks', detail: `${detail} [json-pointer:/blocks/${index}]` };
  }
  return JSON.stringify(blocks).length > MOST_CHARACTERS ? { error: 'msg_blocks_too_long', detail: '' } : undefined;
}
