// Lets a request through when the model that its body names is certain, and one of these.
// Certain: exactly one JSON object; one key alone is `model` or `name` (in any case), written without escapes.
const EXACT = {{ exact }};
const PREFIXES = {{ prefixes }};

// How much deeper `part`, which holds no string, leads.
function deeper(part) {
    if (part.length > 32) {
        return part.split('{').length + part.split('[').length - part.split('}').length - part.split(']').length;
    }
    let depth = 0;
    for (let i = 0; i < part.length; i += 1) {
        const c = part.charCodeAt(i);
        if (c === 0x7b || c === 0x5b) {
            depth += 1;
        } else if (c === 0x7d || c === 0x5d) {
            depth -= 1;
        }
    }
    return depth;
}

// Whether the quote after `part` is escaped.
function endsInEscape(part) {
    let back = part.length;
    while (back > 0 && part.charCodeAt(back - 1) === 0x5c) {
        back -= 1;
    }
    return (part.length - back) % 2 === 1;
}

// Numbers that njs reads and JSON has not: a plus, leading zeros, a point without digits on both sides.
const NO_NUMBER = /(?:^|[^0-9eE])\+|(?:^|[^0-9.eE+-])-?0[0-9]|(?:^|[^0-9])\.|\.(?:[^0-9]|$)/;

// Whether `part` begins with a colon, after blanks.
function isColon(part) {
    let i = 0;
    while (part.charCodeAt(i) <= 0x20) {
        i += 1;
    }
    return part.charCodeAt(i) === 0x3a;
}

// The model that `text` names, or undefined.
function named(text) {
    const body = JSON.parse(text);
    if (body === null || typeof body !== 'object' || Array.isArray(body)) {
        return undefined;
    }
    // JSON.parse hides repeated keys, so the keys of the outermost object are read once more: outside and inside
    // of strings by turns. One split instead of a search for each string: njs keeps every copy until the request ends.
    const parts = text.split('"');
    let found = undefined;
    let depth = deeper(parts[0]);
    if (NO_NUMBER.test(parts[0])) {
        return undefined;
    }
    let at = 1;
    while (at < parts.length) {
        const first = at;
        while (endsInEscape(parts[at])) {
            at += 1;
        }
        const after = parts[at + 1];
        if (NO_NUMBER.test(after)) {
            return undefined;
        }
        if (depth === 1 && isColon(after)) {
            const raw = first === at ? parts[at] : parts.slice(first, at + 1).join('"');
            const key = raw.indexOf('\\') === -1 ? raw : JSON.parse('"' + raw + '"');
            const lower = key.toLowerCase();
            if (lower === 'model' || lower === 'name') {
                if (found !== undefined || key !== raw) {
                    return undefined;
                }
                found = key;
            }
        }
        depth += deeper(after);
        at += 2;
    }
    return found === undefined ? undefined : body[found];
}

function inspect(r) {
    let model = undefined;
    try {
        const type = (r.headersIn['Content-Type'] || '').toLowerCase();
        if (r.headersIn['Content-Encoding'] === undefined && type.indexOf('multipart/') === -1) {
            model = named(r.requestText);
        }
    } catch (e) {
        model = undefined;
    }
    const listed = typeof model === 'string'
        && (EXACT.indexOf(model) !== -1 || PREFIXES.some(function (prefix) { return model.startsWith(prefix); }));
    if (listed) {
        r.internalRedirect('/./llmguard/forward');
    } else {
        r.return(403);
    }
}

export default { inspect };
