//! Flags that say nothing of the data that is trained on: those of images with tables and arrays, those of tables with images.

use super::{Case, case, npy};

/// What is found before anything is read, so that the files may hold anything.
fn unread() -> Vec<Case> {
    let table = |name, arguments| case(name, arguments, vec![("t.csv", Vec::new())]);
    let folder = |name, arguments| case(name, arguments, vec![("p/a/1.png", Vec::new())]);
    let arrays = |name, arguments| case(name, arguments, vec![("x.npz", Vec::new())]);
    vec![
        table("the size of a table", "train --data t.csv --size 8x8"),
        table("the channels of a table", "train --data t.csv --channels 1"),
        table("scaling a table", "train --data t.csv --fit pad"),
        table("the pixels of a table", "train --data t.csv --centred"),
        table("images of a table", "train --data t.csv --augment flip"),
        table("an array of a table", "train --data t.csv --input x"),
        table(
            "images of a table to inspect",
            "data inspect t.csv --channels 3",
        ),
        table(
            "images of a table to profile",
            "profile --data t.csv --augment flip",
        ),
        case(
            "images of a table of the catalog",
            "train --dataset iris --offline --augment flip",
            Vec::new(),
        ),
        case(
            "decimals of images of the catalog",
            "train --dataset digits --offline --decimal ,",
            Vec::new(),
        ),
        folder("a label of pictures", "train --data p --label kind"),
        folder("numbers of pictures", "train --data p --task values"),
        folder("logarithms of pictures", "train --data p --log-target"),
        folder("columns of pictures", "train --data p --ignore id"),
        folder("categories of pictures", "train --data p --categorical id"),
        folder("empty cells of pictures", "train --data p --missing drop"),
        folder("a header of pictures", "train --data p --no-header"),
        folder("cells of pictures", "train --data p --delimiter ;"),
        folder("decimals of pictures", "train --data p --decimal ,"),
        folder("an array of pictures", "train --data p --input x"),
        folder("weights of pictures", "train --data p --example-weights w"),
        folder(
            "decimals of pictures to inspect",
            "data inspect p --decimal ,",
        ),
        arrays("empty cells of arrays", "train --data x.npz --missing mean"),
        arrays("the size of arrays", "train --data x.npz --size 8x8"),
        case(
            "the channels of an IDX file",
            "train --data images-idx3-ubyte --channels 3",
            vec![("images-idx3-ubyte", Vec::new())],
        ),
        case(
            "a setting of tables for pictures",
            "train --config s.toml --data p",
            vec![
                ("s.toml", b"[data]\nmissing = \"drop\"\n".to_vec()),
                ("p/a/1.png", Vec::new()),
            ],
        ),
        table(
            "a set of images for a table",
            "train --data t.csv --set data.centred=true",
        ),
    ]
}

pub(super) fn all() -> Vec<Case> {
    // Only their content says that they are no images.
    let arrays = |name, arguments| {
        let files = vec![
            ("x.npy", npy("'<f4'", "(8, 2)", &[0; 64])),
            ("y.npy", npy("'|u1'", "(8,)", &[0, 1, 0, 1, 0, 1, 0, 1])),
        ];
        case(name, arguments, files)
    };
    let mut all = unread();
    all.push(case(
        "mixup of numbers",
        "train --data x.npz --task values --augment mixup=0.2",
        vec![("x.npz", Vec::new())],
    ));
    all.push(case(
        "mixup of an image that is its own target",
        "train autoencoder --augment flip,mixup=0.2 --offline",
        Vec::new(),
    ));
    all.extend([
        arrays(
            "augmentation of arrays that are no images",
            "train --data x.npy --label y.npy --augment flip",
        ),
        arrays(
            "pixels of arrays that are no images",
            "train --data x.npy --label y.npy --centred",
        ),
        arrays(
            "pictures of arrays that are no images",
            "train --data x.npy --label y.npy --fit pad",
        ),
    ]);
    all
}
