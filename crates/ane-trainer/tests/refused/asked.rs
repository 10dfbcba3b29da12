//! What contradicts itself, or names what there is not, whatever the data holds.

use super::{Case, GOOD, case, read, table};

pub(super) fn all() -> Vec<Case> {
    // Data that cannot be read: what is said comes before it is.
    let unread = |name, arguments| case(name, arguments, vec![("t.csv", b"a,b\0".to_vec())]);
    let values = |name, arguments| case(name, arguments, vec![("t.csv", GOOD.into())]);
    let layers = |name, text: &str| {
        case(
            name,
            "train net.toml --offline",
            vec![("net.toml", text.into())],
        )
    };
    let run = |name, arguments| {
        case(
            name,
            arguments,
            vec![("runs/digits-amber-fox/config.json", b"{}".to_vec())],
        )
    };
    vec![
        unread("data in place of a model", "train t.csv"),
        unread("a data set in place of a model", "train iris"),
        unread(
            "an optimizer that there is not",
            "train --data t.csv --optimizer adamm",
        ),
        unread(
            "a model that there is not",
            "train --data t.csv --model resnet9",
        ),
        unread(
            "a file of a model that there is not",
            "train --data t.csv --model my_model.py:Net",
        ),
        unread(
            "a learning rate below nothing",
            "train --data t.csv --lr -1",
        ),
        unread("epochs below nothing", "train --data t.csv --epochs -3"),
        unread(
            "a metric that there is not",
            "train --data t.csv --metric f2",
        ),
        unread(
            "a loss that there is not",
            "train --data t.csv --loss hinge",
        ),
        unread(
            "label smoothing of numbers",
            "train --data t.csv --task values --label-smoothing 0.1",
        ),
        unread(
            "cross-entropy of numbers",
            "train --data t.csv --log-target --loss cross-entropy",
        ),
        unread(
            "weights of classes of numbers",
            "train --data t.csv --task values --class-weights balanced",
        ),
        unread(
            "the logarithm of a class",
            "train --data t.csv --task classes --log-target",
        ),
        case(
            "cross-entropy of an image",
            "train autoencoder --loss cross-entropy --offline",
            Vec::new(),
        ),
        unread("a share of more than all", "train --data t.csv --test 1.5"),
        unread("fewer examples than none", "train --data t.csv --test -1"),
        unread(
            "a share of less than nothing",
            "train --data t.csv --validation -0.1",
        ),
        unread(
            "patience without a validation result",
            "train --data t.csv --final --patience 2",
        ),
        unread(
            "a decimal sign that is none",
            "train --data t.csv --decimal ;",
        ),
        values(
            "the logarithm of what turns out to be a class",
            "train --data t.csv --log-target",
        ),
        values(
            "numbers that turn out to be no targets from 0 to 1",
            "train --data t.csv --label a --ignore label --task values --loss bce-with-logits",
        ),
        values(
            "a label in other letters",
            "train --data t.csv --label Labell",
        ),
        table(
            "numbers with commas",
            &format!("a;b;label\n{}", "1,5;2;x\n2;1,25;y\n".repeat(10)),
        ),
        read(
            "a table that is divided otherwise",
            "train --data t.csv --delimiter ,",
            "a;b;label\n1;2;x\n",
        ),
        layers(
            "a layer that there is not",
            "[[layers]]\ntype = \"Flatten\"\n\n[[layers]]\ntype = \"Liner\"\n",
        ),
        layers(
            "an argument that a layer has not",
            "[[layers]]\ntype = \"Flatten\"\n\n[[layers]]\ntype = \"Linear\"\nout_feature = 10\n",
        ),
        layers(
            "an argument that a layer lacks",
            "[[layers]]\ntype = \"Conv2d\"\nout_channels = 3\n",
        ),
        layers(
            "a layer of no width",
            "[[layers]]\ntype = \"Flatten\"\n\n[[layers]]\ntype = \"Linear\"\nout_features = 0\n\n[[layers]]\ntype = \"Linear\"\n",
        ),
        run("a run of nearly this name", "eval runs/digits-amber-foxx"),
        run(
            "a run of nearly this name to show",
            "runs show digits-amber-foks",
        ),
        run("a run of no name that there is", "report nowhere"),
        run("a run to watch that there is not", "watch nowhere"),
        run("a run to draw that there is not", "curves nowhere"),
        run("a run to go on that there is not", "train --resume nowhere"),
    ]
}
