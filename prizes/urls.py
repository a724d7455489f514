"""Pages of the draw side: the control room, the party page, and the draws."""

from django.urls import path

from prizes.views import (
    accounts,
    approvals,
    canaries,
    certificates,
    claims,
    console,
    crew,
    cues,
    draws,
    fair_play,
    own_account,
    parties,
    pictures,
    restore,
    stub_sheets,
)

urlpatterns = [
    path("login/", accounts.LogIn.as_view(), name="login"),
    path("login/second/", accounts.second_step, name="second_step"),
    path("logout/", accounts.LogOut.as_view(), name="logout"),
    path("invitations/<uidb64>/<token>/", accounts.Invitation.as_view(), name="invitation"),
    path("account/", own_account.account, name="account"),
    path("account/app/", own_account.app, name="app"),
    path("account/passkey/", own_account.passkey, name="passkey"),
    path("account/codes/", own_account.recovery_codes, name="recovery_codes"),
    path("account/factors/<int:number>/remove/", own_account.remove_factor, name="remove_factor"),
    path("account/password/", own_account.password, name="password"),
    path("account/confirm/", accounts.confirm, name="confirm"),
    path("account/sessions/<int:number>/end/", own_account.end_session, name="end_own_session"),
    path("crew/", crew.crew, name="crew"),
    path("crew/sessions/<int:number>/end/", crew.end_session, name="end_session"),
    path("console/", console.console, name="console"),
    path("console/<slug:slug>/", console.control_room, name="control_room"),
    path("console/<slug:slug>/restore/", restore.confirm, name="confirm_restore"),
    path("console/<slug:slug>/cue/", cues.act, name="cue"),
    path("console/<slug:slug>/live", console.live, name="live"),
    path("console/<slug:slug>/segments/<int:segment_id>/<slug:action>/", console.act, name="act"),
    path(
        "console/<slug:slug>/approvals/<int:approval_id>/<slug:action>/", approvals.act, name="approvals_act"
    ),
    path("console/<slug:slug>/fair-play/", fair_play.fair_play, name="fair_play"),
    path("console/<slug:slug>/pictures/", pictures.pictures, name="pictures"),
    path("console/<slug:slug>/pictures/keep/", pictures.act, name="pictures_act"),
    path("console/<slug:slug>/claims/", claims.claims, name="claims"),
    path("console/<slug:slug>/claims/<slug:action>/", claims.act, name="claims_act"),
    path("parties/", parties.parties, name="parties"),
    path("parties/live", parties.live, name="parties_live"),
    path("parties/<int:party_id>/lists/<int:list_id>/commit/", parties.commit, name="party_commit"),
    path("parties/<int:party_id>/draws/<int:draw_id>/reveal/", parties.reveal, name="party_reveal"),
    path(
        "parties/<int:party_id>/segments/<int:segment_id>/canaries/commit/",
        canaries.commit,
        name="canaries_commit",
    ),
    path(
        "parties/<int:party_id>/segments/<int:segment_id>/canaries/open/", canaries.show, name="canaries_open"
    ),
    path("draws/", draws.draws, name="draws"),
    path("draws/<int:draw_id>/", draws.draw_page, name="draw_page"),
    path("draws/<int:draw_id>/certificate/", certificates.certificate, name="certificate"),
    path("draws/<int:draw_id>/code.svg", certificates.code, name="draw_qr"),
    path("draws/<int:draw_id>/claim/", claims.claim_page, name="claim_page"),
    path("stub/", stub_sheets.stub_sheet, name="stub_sheet"),
    path("verify_draw.py", draws.verifier, name="verifier"),
    path("verify_show.py", draws.show_verifier, name="show_verifier"),
    path("witness.py", draws.witness, name="witness"),
]
