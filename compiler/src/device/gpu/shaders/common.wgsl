// Long one-dimensional work is spread over x and y of the dispatch; `GROUPS_X` of them lie in a
// row, which `dispatch.rs` states as well.
const GROUPS_X: u32 = 32768u;

fn group_of(id: vec3<u32>) -> u32 {
    return id.x + id.y * GROUPS_X;
}

// Index of an invocation of workgroups of 256.
fn item_of(id: vec3<u32>) -> u32 {
    return id.x + id.y * (GROUPS_X * 256u);
}
